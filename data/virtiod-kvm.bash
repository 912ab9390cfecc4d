# SPDX-License-Identifier: Apache-2.0
# bash completion for virtiod-kvm: options, and what their values are, are those that --help shows;
# --device= begins with one of its keys.
_virtiod_kvm()
{
	local cur prev words cword split value
	_init_completion -s || return

	if [[ $prev == --device ]]; then
		case $cur in
		socket=*)
			cur=${cur#socket=}
			_filedir
			;;
		*)
			COMPREPLY=($(compgen -W 'socket= type=' -- "$cur"))
			compopt -o nospace
			;;
		esac
		return
	fi
	if [[ $prev =~ ^--[a-z-]+$ ]]; then
		value=$("$1" --help 2>/dev/null | sed -n "s/^ *\(-., \)\?$prev=\([^ ]*\).*/\2/p")
		case $value in
		*'|'* | [a-z]*)
			COMPREPLY=($(compgen -W "${value//|/ }" -- "$cur"))
			;;
		FILE | PATH) _filedir ;;
		DIR) _filedir -d ;;
		esac
		[ -z "$value" ] || return
	fi
	$split && return

	COMPREPLY=($(compgen -W '$(_parse_help "$1")' -- "$cur"))
	[[ ${COMPREPLY-} == *= ]] && compopt -o nospace
} && complete -F _virtiod_kvm virtiod-kvm
