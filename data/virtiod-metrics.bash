# SPDX-License-Identifier: Apache-2.0
# bash completion for virtiod-metrics: options, and what their values are, are those that --help
# shows; control sockets and folders.
_virtiod_metrics()
{
	local cur prev words cword split value
	_init_completion -s || return

	if [[ $prev =~ ^--[a-z-]+$ ]]; then
		value=$("$1" --help 2>/dev/null | sed -n "s/^ *\(-., \)\?$prev=\([^ ]*\).*/\2/p")
		case $value in
		*'|'*) COMPREPLY=($(compgen -W "${value//|/ }" -- "$cur")) ;;
		esac
		[ -z "$value" ] || return
	fi
	$split && return

	if [[ $cur != -* ]]; then
		_filedir
		return
	fi
	COMPREPLY=($(compgen -W '$(_parse_help "$1")' -- "$cur"))
	[[ ${COMPREPLY-} == *= ]] && compopt -o nospace
} && complete -F _virtiod_metrics virtiod-metrics
