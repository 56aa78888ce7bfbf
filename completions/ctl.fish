# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ctl_global_optspecs
    string join \n C/chdir= state= color= q/quiet v/verbose h/help V/version
end

function __fish_ctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_ctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_ctl_using_subcommand
    set -l cmd (__fish_ctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ctl -n "__fish_ctl_needs_command" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_needs_command" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_needs_command" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_needs_command" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_needs_command" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_needs_command" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "init" -d 'Write a starter project: ctl.yaml and a first manifest'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "validate" -d 'Check manifests and descriptions without contacting anything'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "plan" -d 'Show what would change, and change nothing'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "apply" -d 'Make the targets what the commit says: delete, then create, then update'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "watch" -d 'Keep the targets as the commit says: on every commit, on an interval, through outages'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "status" -d 'Show how things stand: what is in sync, what is not, why, and what to do'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "events" -d 'Show what a watcher did and what happened to it'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "retry" -d 'Tell a watcher to try again now, whatever waits'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "suspend" -d 'Tell a watcher to write nothing until it is told to go on'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "resume" -d 'Tell a watcher to go on, with the newest commit'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "rollback" -d 'Tell a watcher to apply the commit of an older version, and to stay there'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "approve" -d 'Let a refused plan through, once'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "history" -d 'List what was applied: version, time, commit, who, result'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "show" -d 'Show one applied version, or one resource as it is declared, recorded and live'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "record" -d 'Look at the record of what ctl owns, or rebuild it'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "release" -d 'Forget resources without deleting them'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "target" -d 'List targets, or describe one'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "serve" -d 'Run the reference server'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "explain" -d 'Explain an error code, or the fields of a kind'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "man" -d 'Print the manual page, or write all of them'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "version" -d 'Print the version'
complete -c ctl -n "__fish_ctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctl -n "__fish_ctl_using_subcommand init" -l name -d 'The project\'s name [default: the folder\'s]' -r
complete -c ctl -n "__fish_ctl_using_subcommand init" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand init" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand init" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand init" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand init" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand init" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand validate" -l rev -d 'Read this commit, branch or tag instead of HEAD' -r
complete -c ctl -n "__fish_ctl_using_subcommand validate" -l trust -d 'Take ctl.yaml and apis/ from another revision, such as a pull request\'s base' -r
complete -c ctl -n "__fish_ctl_using_subcommand validate" -l api -d 'Check this API description and nothing else (repeatable)' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand validate" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand validate" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand validate" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand validate" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand validate" -l dirty -d 'Check the files of the work tree, committed or not'
complete -c ctl -n "__fish_ctl_using_subcommand validate" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand validate" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand validate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand validate" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l rev -d 'Read this commit, branch or tag instead of HEAD' -r
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l trust -d 'Take ctl.yaml and apis/ from another revision, such as a pull request\'s base' -r
complete -c ctl -n "__fish_ctl_using_subcommand plan" -s t -l target -d 'Only this target (repeatable, globs allowed)' -r
complete -c ctl -n "__fish_ctl_using_subcommand plan" -s l -l selector -d 'Only resources with these labels: team=shop,tier!=test (repeatable; all must hold)' -r
complete -c ctl -n "__fish_ctl_using_subcommand plan" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'
markdown\t'A pull-request comment'"
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l allow-deletes -d 'Let this very set of deletes through the guards (the plan names the sum)' -r
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l allow-updates -d 'Let the updates of this very plan through the guards (the plan names the sum)' -r
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l accept-rewrite -d 'Go on from COMMIT although it does not descend from what was applied (a force-push)' -r
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l concurrency -d 'Requests in flight per endpoint, at most [default: 8, or the target\'s]' -r
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l rate -d 'Requests per second and endpoint, at most: 50/s' -r
complete -c ctl -n "__fish_ctl_using_subcommand plan" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l dirty -d 'Plan the files of the work tree, committed or not'
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l detailed-exitcode -d 'Exit 2 when there are changes'
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l show-all -d 'Show every operation of a long plan'
complete -c ctl -n "__fish_ctl_using_subcommand plan" -l allow-replace -d 'Let immutable changes delete and create again'
complete -c ctl -n "__fish_ctl_using_subcommand plan" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand plan" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand plan" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l rev -d 'Read this commit, branch or tag instead of HEAD' -r
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l trust -d 'Take ctl.yaml and apis/ from another revision, such as a pull request\'s base' -r
complete -c ctl -n "__fish_ctl_using_subcommand apply" -s t -l target -d 'Only this target (repeatable, globs allowed)' -r
complete -c ctl -n "__fish_ctl_using_subcommand apply" -s l -l selector -d 'Only resources with these labels: team=shop,tier!=test (repeatable; all must hold)' -r
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l expect -d 'Apply only if the plan has this checksum' -r
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l allow-deletes -d 'Let this very set of deletes through the guards (the plan names the sum)' -r
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l allow-updates -d 'Let the updates of this very plan through the guards (the plan names the sum)' -r
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l accept-rewrite -d 'Go on from COMMIT although it does not descend from what was applied (a force-push)' -r
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l on-error -d 'What to do after a failure' -r -f -a "continue\t'Go on with what does not depend on it'
stop\t'Start nothing more'"
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l concurrency -d 'Requests in flight per endpoint, at most [default: 8, or the target\'s]' -r
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l rate -d 'Requests per second and endpoint, at most: 50/s' -r
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l wait -d 'How long to wait for another run: 90s, 5m' -r
complete -c ctl -n "__fish_ctl_using_subcommand apply" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'
markdown\t'A pull-request comment'"
complete -c ctl -n "__fish_ctl_using_subcommand apply" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand apply" -s y -l yes -l auto-approve -d 'Do not ask'
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l adopt-only -d 'Record what is equal, touch no target; any other operation is refused'
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l allow-replace -d 'Let immutable changes delete and create again'
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l detailed-exitcode -d 'Exit 2 when something was changed'
complete -c ctl -n "__fish_ctl_using_subcommand apply" -l show-all -d 'Show every operation of a long plan'
complete -c ctl -n "__fish_ctl_using_subcommand apply" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand apply" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand apply" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand watch" -s t -l target -d 'Only this target (repeatable, globs allowed)' -r
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l interval -d 'How often to look, whatever else calls for it: 30s, 5m' -r
complete -c ctl -n "__fish_ctl_using_subcommand watch" -s o -l output -d 'How to log [default: text on a terminal, else json]' -r -f -a "text\t'For people'
json\t'One JSON object a line'"
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l listen -d 'Serve status, events, metrics, orders and the webhook here; beyond loopback only with tokens. A second SOURCE has the next port, and so on' -r
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l token-file -d 'File with the bearer token that may give orders' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l read-token-file -d 'File with the bearer token that may only look' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l webhook-secret-file -d 'File with the secret that signs webhooks; without it there is no webhook' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l election -d 'Who decides which of several watchers writes' -r -f -a "none\t'This watcher is the only one'
etcd\t'A lease for each target in etcd; the record must be shared'"
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l etcd -d 'A member of the etcd cluster (repeatable, commas allowed)' -r
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l concurrency -d 'Requests in flight per endpoint, at most [default: 8, or the target\'s]' -r
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l rate -d 'Requests per second and endpoint, at most: 50/s' -r
complete -c ctl -n "__fish_ctl_using_subcommand watch" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l once -d 'One cycle, then exit with its result'
complete -c ctl -n "__fish_ctl_using_subcommand watch" -l dry-run -d 'Plan and report drift, never write'
complete -c ctl -n "__fish_ctl_using_subcommand watch" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand watch" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand watch" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand status" -s t -l target -d 'Only this target (repeatable, globs allowed)' -r
complete -c ctl -n "__fish_ctl_using_subcommand status" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand status" -l server -d 'The watcher\'s address [default: the one that the watcher of this project wrote down]' -r
complete -c ctl -n "__fish_ctl_using_subcommand status" -l token-file -d 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand status" -l source -d 'The project whose watcher is meant: a path, or URL[//folder]' -r
complete -c ctl -n "__fish_ctl_using_subcommand status" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand status" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand status" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand status" -s w -l watch -d 'Show it again whenever it changes: every 2 seconds on a terminal, else a new block for each change'
complete -c ctl -n "__fish_ctl_using_subcommand status" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand status" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand status" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand events" -l since -d 'From so long ago on (10m, 2h), or after the event with this number' -r
complete -c ctl -n "__fish_ctl_using_subcommand events" -s t -l target -d 'Only this target, and what concerns all of them (repeatable, globs allowed)' -r
complete -c ctl -n "__fish_ctl_using_subcommand events" -s o -l output -d 'How to print; json is one object a line' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand events" -l server -d 'The watcher\'s address [default: the one that the watcher of this project wrote down]' -r
complete -c ctl -n "__fish_ctl_using_subcommand events" -l token-file -d 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand events" -l source -d 'The project whose watcher is meant: a path, or URL[//folder]' -r
complete -c ctl -n "__fish_ctl_using_subcommand events" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand events" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand events" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand events" -s f -l follow -d 'Go on with what comes; after a lost connection from where it was'
complete -c ctl -n "__fish_ctl_using_subcommand events" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand events" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand events" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand events" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand retry" -s t -l target -d 'Only this target (a glob)' -r
complete -c ctl -n "__fish_ctl_using_subcommand retry" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand retry" -l server -d 'The watcher\'s address [default: the one that the watcher of this project wrote down]' -r
complete -c ctl -n "__fish_ctl_using_subcommand retry" -l token-file -d 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand retry" -l source -d 'The project whose watcher is meant: a path, or URL[//folder]' -r
complete -c ctl -n "__fish_ctl_using_subcommand retry" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand retry" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand retry" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand retry" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand retry" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand retry" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand retry" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -s t -l target -d 'Only this target (a glob)' -r
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -l for -d 'It ends by itself after: 90s, 30m, 2h, 1d [default: only with `ctl resume`]' -r
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -l reason -d 'Why, for whoever looks at `ctl status`' -r
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -l server -d 'The watcher\'s address [default: the one that the watcher of this project wrote down]' -r
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -l token-file -d 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -l source -d 'The project whose watcher is meant: a path, or URL[//folder]' -r
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand suspend" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand resume" -s t -l target -d 'Only this target (a glob)' -r
complete -c ctl -n "__fish_ctl_using_subcommand resume" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand resume" -l server -d 'The watcher\'s address [default: the one that the watcher of this project wrote down]' -r
complete -c ctl -n "__fish_ctl_using_subcommand resume" -l token-file -d 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand resume" -l source -d 'The project whose watcher is meant: a path, or URL[//folder]' -r
complete -c ctl -n "__fish_ctl_using_subcommand resume" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand resume" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand resume" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand resume" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand resume" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand resume" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -l reason -d 'Why, for whoever looks at `ctl status`' -r
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -l server -d 'The watcher\'s address [default: the one that the watcher of this project wrote down]' -r
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -l token-file -d 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -l source -d 'The project whose watcher is meant: a path, or URL[//folder]' -r
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -s y -l yes -d 'Do not ask'
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand rollback" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand approve" -l for -d 'How long it holds' -r
complete -c ctl -n "__fish_ctl_using_subcommand approve" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand approve" -l server -d 'The watcher\'s address [default: the one that the watcher of this project wrote down]' -r
complete -c ctl -n "__fish_ctl_using_subcommand approve" -l token-file -d 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand approve" -l source -d 'The project whose watcher is meant: a path, or URL[//folder]' -r
complete -c ctl -n "__fish_ctl_using_subcommand approve" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand approve" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand approve" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand approve" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand approve" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand approve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand approve" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand history" -l rev -d 'Read this commit, branch or tag instead of HEAD' -r
complete -c ctl -n "__fish_ctl_using_subcommand history" -l trust -d 'Take ctl.yaml and apis/ from another revision, such as a pull request\'s base' -r
complete -c ctl -n "__fish_ctl_using_subcommand history" -s t -l target -d 'Only this target (repeatable, globs allowed)' -r
complete -c ctl -n "__fish_ctl_using_subcommand history" -s n -l limit -d 'How many versions of each target' -r
complete -c ctl -n "__fish_ctl_using_subcommand history" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand history" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand history" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand history" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand history" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand history" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand history" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand show" -l source -d 'Source' -r
complete -c ctl -n "__fish_ctl_using_subcommand show" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand show" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand show" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand show" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand show" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand show" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand show" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand record; and not __fish_seen_subcommand_from show verify rebuild help" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand record; and not __fish_seen_subcommand_from show verify rebuild help" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand record; and not __fish_seen_subcommand_from show verify rebuild help" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand record; and not __fish_seen_subcommand_from show verify rebuild help" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand record; and not __fish_seen_subcommand_from show verify rebuild help" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand record; and not __fish_seen_subcommand_from show verify rebuild help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand record; and not __fish_seen_subcommand_from show verify rebuild help" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand record; and not __fish_seen_subcommand_from show verify rebuild help" -f -a "show" -d 'List what ctl owns'
complete -c ctl -n "__fish_ctl_using_subcommand record; and not __fish_seen_subcommand_from show verify rebuild help" -f -a "verify" -d 'Check the record against itself and against the targets'
complete -c ctl -n "__fish_ctl_using_subcommand record; and not __fish_seen_subcommand_from show verify rebuild help" -f -a "rebuild" -d 'Make a lost record anew: adopt again what bears our mark (asks first)'
complete -c ctl -n "__fish_ctl_using_subcommand record; and not __fish_seen_subcommand_from show verify rebuild help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from show" -l rev -d 'Read this commit, branch or tag instead of HEAD' -r
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from show" -l trust -d 'Take ctl.yaml and apis/ from another revision, such as a pull request\'s base' -r
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from show" -s t -l target -d 'Only this target (repeatable, globs allowed)' -r
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from show" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from show" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from show" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from show" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from verify" -l rev -d 'Read this commit, branch or tag instead of HEAD' -r
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from verify" -l trust -d 'Take ctl.yaml and apis/ from another revision, such as a pull request\'s base' -r
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from verify" -s t -l target -d 'Only this target (repeatable, globs allowed)' -r
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from verify" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from verify" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from verify" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from verify" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from rebuild" -l rev -d 'Read this commit, branch or tag instead of HEAD' -r
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from rebuild" -l trust -d 'Take ctl.yaml and apis/ from another revision, such as a pull request\'s base' -r
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from rebuild" -s t -l target -d 'Only this target (repeatable, globs allowed)' -r
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from rebuild" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from rebuild" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from rebuild" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from rebuild" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from rebuild" -s y -l yes -d 'Do not ask'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from rebuild" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from rebuild" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from rebuild" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from rebuild" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "show" -d 'List what ctl owns'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Check the record against itself and against the targets'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "rebuild" -d 'Make a lost record anew: adopt again what bears our mark (asks first)'
complete -c ctl -n "__fish_ctl_using_subcommand record; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctl -n "__fish_ctl_using_subcommand release" -l source -d 'Source' -r
complete -c ctl -n "__fish_ctl_using_subcommand release" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand release" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand release" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand release" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand release" -s y -l yes -d 'Do not ask'
complete -c ctl -n "__fish_ctl_using_subcommand release" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand release" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand release" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand target; and not __fish_seen_subcommand_from list describe help" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand target; and not __fish_seen_subcommand_from list describe help" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand target; and not __fish_seen_subcommand_from list describe help" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand target; and not __fish_seen_subcommand_from list describe help" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand target; and not __fish_seen_subcommand_from list describe help" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand target; and not __fish_seen_subcommand_from list describe help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand target; and not __fish_seen_subcommand_from list describe help" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand target; and not __fish_seen_subcommand_from list describe help" -f -a "list" -d 'List the targets of a project'
complete -c ctl -n "__fish_ctl_using_subcommand target; and not __fish_seen_subcommand_from list describe help" -f -a "describe" -d 'Describe one target: endpoints, kinds, how writes are guarded'
complete -c ctl -n "__fish_ctl_using_subcommand target; and not __fish_seen_subcommand_from list describe help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from list" -l rev -d 'Read this commit, branch or tag instead of HEAD' -r
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from list" -l trust -d 'Take ctl.yaml and apis/ from another revision, such as a pull request\'s base' -r
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from list" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from list" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from list" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from list" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from describe" -l source -d 'Source' -r
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from describe" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from describe" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from describe" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from describe" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from describe" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from describe" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from describe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from describe" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the targets of a project'
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from help" -f -a "describe" -d 'Describe one target: endpoints, kinds, how writes are guarded'
complete -c ctl -n "__fish_ctl_using_subcommand target; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctl -n "__fish_ctl_using_subcommand serve" -l listen -d 'Where to listen; without a token only on loopback' -r
complete -c ctl -n "__fish_ctl_using_subcommand serve" -l data -d 'Folder of the durable data' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand serve" -l rate -d 'Requests per second and client; more is answered 429' -r
complete -c ctl -n "__fish_ctl_using_subcommand serve" -l token-file -d 'File that holds the bearer token that clients must send' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand serve" -l kinds -d 'Schema of further kinds' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand serve" -l faults -d 'Misbehave on purpose, for tests (the list is below): slow=200ms,conflict=0.05,seed=7' -r
complete -c ctl -n "__fish_ctl_using_subcommand serve" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand serve" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand serve" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand serve" -l debug-counters -d 'Count requests at /debug/requests, for benchmarks'
complete -c ctl -n "__fish_ctl_using_subcommand serve" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand serve" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand serve" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand explain" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand explain" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand explain" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand explain" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand explain" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand explain" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand completions" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand completions" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand completions" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand completions" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand completions" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand completions" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand man" -l dir -d 'Write a page for each command into DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand man" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand man" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand man" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand man" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand man" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand man" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand version" -s o -l output -d 'How to print' -r -f -a "text\t'For people'
json\t'One JSON document'"
complete -c ctl -n "__fish_ctl_using_subcommand version" -s C -l chdir -d 'Run as if started in DIR' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand version" -l state -d 'Folder for mirrors, locks and the embedded server\'s data [default: $XDG_STATE_HOME/ctl]' -r -F
complete -c ctl -n "__fish_ctl_using_subcommand version" -l color -d 'When to use colour' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c ctl -n "__fish_ctl_using_subcommand version" -s q -l quiet -d 'Say less: no progress, no warnings'
complete -c ctl -n "__fish_ctl_using_subcommand version" -s v -l verbose -d 'Say more on stderr: requests, retries (-vv: also what was read from where)'
complete -c ctl -n "__fish_ctl_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ctl -n "__fish_ctl_using_subcommand version" -s V -l version -d 'Print version'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "init" -d 'Write a starter project: ctl.yaml and a first manifest'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "validate" -d 'Check manifests and descriptions without contacting anything'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "plan" -d 'Show what would change, and change nothing'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "apply" -d 'Make the targets what the commit says: delete, then create, then update'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "watch" -d 'Keep the targets as the commit says: on every commit, on an interval, through outages'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "status" -d 'Show how things stand: what is in sync, what is not, why, and what to do'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "events" -d 'Show what a watcher did and what happened to it'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "retry" -d 'Tell a watcher to try again now, whatever waits'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "suspend" -d 'Tell a watcher to write nothing until it is told to go on'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "resume" -d 'Tell a watcher to go on, with the newest commit'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "rollback" -d 'Tell a watcher to apply the commit of an older version, and to stay there'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "approve" -d 'Let a refused plan through, once'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "history" -d 'List what was applied: version, time, commit, who, result'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "show" -d 'Show one applied version, or one resource as it is declared, recorded and live'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "record" -d 'Look at the record of what ctl owns, or rebuild it'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "release" -d 'Forget resources without deleting them'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "target" -d 'List targets, or describe one'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "serve" -d 'Run the reference server'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "explain" -d 'Explain an error code, or the fields of a kind'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "man" -d 'Print the manual page, or write all of them'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "version" -d 'Print the version'
complete -c ctl -n "__fish_ctl_using_subcommand help; and not __fish_seen_subcommand_from init validate plan apply watch status events retry suspend resume rollback approve history show record release target serve explain completions man version help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ctl -n "__fish_ctl_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "show" -d 'List what ctl owns'
complete -c ctl -n "__fish_ctl_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "verify" -d 'Check the record against itself and against the targets'
complete -c ctl -n "__fish_ctl_using_subcommand help; and __fish_seen_subcommand_from record" -f -a "rebuild" -d 'Make a lost record anew: adopt again what bears our mark (asks first)'
complete -c ctl -n "__fish_ctl_using_subcommand help; and __fish_seen_subcommand_from target" -f -a "list" -d 'List the targets of a project'
complete -c ctl -n "__fish_ctl_using_subcommand help; and __fish_seen_subcommand_from target" -f -a "describe" -d 'Describe one target: endpoints, kinds, how writes are guarded'
