# SPDX-License-Identifier: Apache-2.0
# bash completion for virtioctl: subcommands, and the options that their --help shows.
_virtioctl()
{
	local cur prev words cword split
	local verbs='probe read write bench check call stats inflight metrics top list add remove
		reload restart'
	_init_completion -s || return

	if [[ $cword -eq 1 ]]; then
		COMPREPLY=($(compgen -W "$verbs help --help --version" -- "$cur"))
		return
	fi
	if [[ ${words[1]} == help ]]; then
		COMPREPLY=($(compgen -W "$verbs" -- "$cur"))
		return
	fi
	if [[ $prev == --probe ]]; then
		COMPREPLY=($(compgen -W 'auto force off' -- "$cur"))
		return
	fi
	if [[ $prev == --sandbox ]]; then
		COMPREPLY=($(compgen -W 'auto strict none' -- "$cur"))
		return
	fi
	if [[ $prev == --packed ]]; then
		COMPREPLY=($(compgen -W 'auto on off' -- "$cur"))
		return
	fi
	if [[ $prev == --run-dir ]]; then
		_filedir -d
		return
	fi
	if [[ ${words[1]} == bench ]]; then
		case $prev in
		--rw) COMPREPLY=($(compgen -W 'randread randwrite read write mixed' -- "$cur")) ;;
		--mode) COMPREPLY=($(compgen -W 'blocking polling' -- "$cur")) ;;
		--indirect | --event-idx | --inflight)
			COMPREPLY=($(compgen -W 'auto on off' -- "$cur")) ;;
		*) false ;;
		esac && return
	fi
	if [[ ${words[1]} == check && $prev == --case ]]; then
		COMPREPLY=($(compgen -W '$("$1" check --list 2>/dev/null | cut -d" " -f1)' \
			-- "$cur"))
		return
	fi
	if [[ ${words[1]} == call && $cur != -* && $cword -eq 3 && -S ${words[2]} ]]; then
		COMPREPLY=($(compgen -W '$("$1" call "${words[2]}" help 2>/dev/null |
			grep -o "{\"name\":\"[a-z-]*\",\"summary" | cut -d\" -f4)' -- "$cur"))
		return
	fi
	if [[ ${words[1]} =~ ^(remove|restart)$ && $cur != -* ]]; then
		COMPREPLY=($(compgen -W '$("$1" list 2>/dev/null | sed "1d; s/ .*//")' -- "$cur"))
		return
	fi
	$split && return
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W '$("$1" "${words[1]}" --help 2>/dev/null | _parse_help -)' \
			-- "$cur"))
		[[ ${COMPREPLY-} == *= ]] && compopt -o nospace
		return
	fi
	_filedir
} && complete -F _virtioctl virtioctl
