# SPDX-License-Identifier: Apache-2.0
# bash completion for virtiod-xen: the options are those that --help-all shows.
_virtiod_xen()
{
	local cur prev words cword split
	_init_completion -s || return

	case $prev in
	--config | --defaults | --socket)
		_filedir
		return
		;;
	--run-dir)
		_filedir -d
		return
		;;
	--sandbox)
		COMPREPLY=($(compgen -W 'auto strict none' -- "$cur"))
		return
		;;
	--log-level)
		COMPREPLY=($(compgen -W 'error warning info debug' -- "$cur"))
		return
		;;
	esac
	$split && return

	if [[ $cword -eq 1 && $cur != -* ]]; then
		COMPREPLY=($(compgen -W 'attach' -- "$cur"))
		return
	fi
	COMPREPLY=($(compgen -W '$("$1" --help-all 2>/dev/null | _parse_help -)' -- "$cur"))
	[[ ${COMPREPLY-} == *= ]] && compopt -o nospace
} && complete -F _virtiod_xen virtiod-xen
