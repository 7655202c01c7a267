# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_pvecm_agent_global_optspecs
    string join \n json h/help V/version
end

function __fish_pvecm_agent_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_pvecm_agent_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_pvecm_agent_using_subcommand
    set -l cmd (__fish_pvecm_agent_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c pvecm-agent -n "__fish_pvecm_agent_needs_command" -l json -d 'Write the log as JSON'
complete -c pvecm-agent -n "__fish_pvecm_agent_needs_command" -s h -l help -d 'Print help'
complete -c pvecm-agent -n "__fish_pvecm_agent_needs_command" -s V -l version -d 'Print version'
complete -c pvecm-agent -n "__fish_pvecm_agent_needs_command" -f -a "run" -d 'Work until told to stop (the default)'
complete -c pvecm-agent -n "__fish_pvecm_agent_needs_command" -f -a "gate" -d 'At boot, before corosync starts: ask whether the cluster has changed while this host was off, take its newer file, or hold corosync where the host is no member any more'
complete -c pvecm-agent -n "__fish_pvecm_agent_needs_command" -f -a "enrol" -d 'Take this host\'s bootstrap file: try it, install it and start the agent with it'
complete -c pvecm-agent -n "__fish_pvecm_agent_needs_command" -f -a "doctor" -d 'Say in plain words what is missing on this host; exit code 1 when something is wrong'
complete -c pvecm-agent -n "__fish_pvecm_agent_needs_command" -f -a "observe" -d 'Print what the agent sees of this host, as the status of its `PveHost`'
complete -c pvecm-agent -n "__fish_pvecm_agent_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand run" -l bootstrap -d 'The file that enrolment made' -r -F
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand run" -l json -d 'Write the log as JSON'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand run" -s h -l help -d 'Print help'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand gate" -l bootstrap -d 'The file that enrolment made' -r -F
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand gate" -l json -d 'Write the log as JSON'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand gate" -s h -l help -d 'Print help'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand enrol" -l other-name -d 'Take a file for a `PveHost` that has another name than this machine. A `PveCluster` then names it with `hostRef`'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand enrol" -l json -d 'Write the log as JSON'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand enrol" -s h -l help -d 'Print help'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand doctor" -l bootstrap -d 'The file that enrolment made' -r -F
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand doctor" -l json -d 'Write the log as JSON'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand observe" -l once -d 'Look once and end'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand observe" -l json -d 'Write the log as JSON'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand observe" -s h -l help -d 'Print help'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand help; and not __fish_seen_subcommand_from run gate enrol doctor observe help" -f -a "run" -d 'Work until told to stop (the default)'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand help; and not __fish_seen_subcommand_from run gate enrol doctor observe help" -f -a "gate" -d 'At boot, before corosync starts: ask whether the cluster has changed while this host was off, take its newer file, or hold corosync where the host is no member any more'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand help; and not __fish_seen_subcommand_from run gate enrol doctor observe help" -f -a "enrol" -d 'Take this host\'s bootstrap file: try it, install it and start the agent with it'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand help; and not __fish_seen_subcommand_from run gate enrol doctor observe help" -f -a "doctor" -d 'Say in plain words what is missing on this host; exit code 1 when something is wrong'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand help; and not __fish_seen_subcommand_from run gate enrol doctor observe help" -f -a "observe" -d 'Print what the agent sees of this host, as the status of its `PveHost`'
complete -c pvecm-agent -n "__fish_pvecm_agent_using_subcommand help; and not __fish_seen_subcommand_from run gate enrol doctor observe help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
