# SPDX-License-Identifier: Apache-2.0
# bash completion for virtiod-switch: options, and what their values are, are those that --help
# shows; --listen= and --port= begin with a word of their own, and go on with keys.
_virtiod_switch()
{
	local cur prev words cword split value
	_init_completion -s || return

	if [[ $prev == --listen || $prev == --port ]]; then
		case $cur in
		*,*)
			value=${cur%,*},
			COMPREPLY=($(compgen -P "$value" -W 'name= vlan= trunk= isolated= pcap=' \
				-- "${cur##*,}"))
			compopt -o nospace
			;;
		unix:* | stream=unix:*)
			cur=${cur#*unix:}
			_filedir
			;;
		*)
			value='stream=unix: stream=fd: tap= tap-fd='
			[[ $prev == --port ]] || value='unix: fd:'
			COMPREPLY=($(compgen -W "$value" -- "$cur"))
			compopt -o nospace
			;;
		esac
		return
	fi
	if [[ $prev =~ ^--[a-z-]+$ ]]; then
		value=$("$1" --help 2>/dev/null | sed -n "s/^ *\(-., \)\?$prev=\([^ ]*\).*/\2/p")
		case $value in
		*'|'*) COMPREPLY=($(compgen -W "${value//|/ }" -- "$cur")) ;;
		PATH) _filedir ;;
		GROUP) _allowed_groups "$cur" ;;
		UID*) _usergroup ;;
		esac
		[ -z "$value" ] || return
	fi
	$split && return

	COMPREPLY=($(compgen -W '$(_parse_help "$1")' -- "$cur"))
	[[ ${COMPREPLY-} == *= ]] && compopt -o nospace
} && complete -F _virtiod_switch virtiod-switch
