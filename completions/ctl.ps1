
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'ctl' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'ctl'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'ctl' {
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Write a starter project: ctl.yaml and a first manifest')
            [CompletionResult]::new('validate', 'validate', [CompletionResultType]::ParameterValue, 'Check manifests and descriptions without contacting anything')
            [CompletionResult]::new('plan', 'plan', [CompletionResultType]::ParameterValue, 'Show what would change, and change nothing')
            [CompletionResult]::new('apply', 'apply', [CompletionResultType]::ParameterValue, 'Make the targets what the commit says: delete, then create, then update')
            [CompletionResult]::new('watch', 'watch', [CompletionResultType]::ParameterValue, 'Keep the targets as the commit says: on every commit, on an interval, through outages')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show how things stand: what is in sync, what is not, why, and what to do')
            [CompletionResult]::new('events', 'events', [CompletionResultType]::ParameterValue, 'Show what a watcher did and what happened to it')
            [CompletionResult]::new('retry', 'retry', [CompletionResultType]::ParameterValue, 'Tell a watcher to try again now, whatever waits')
            [CompletionResult]::new('suspend', 'suspend', [CompletionResultType]::ParameterValue, 'Tell a watcher to write nothing until it is told to go on')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Tell a watcher to go on, with the newest commit')
            [CompletionResult]::new('rollback', 'rollback', [CompletionResultType]::ParameterValue, 'Tell a watcher to apply the commit of an older version, and to stay there')
            [CompletionResult]::new('approve', 'approve', [CompletionResultType]::ParameterValue, 'Let a refused plan through, once')
            [CompletionResult]::new('history', 'history', [CompletionResultType]::ParameterValue, 'List what was applied: version, time, commit, who, result')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show one applied version, or one resource as it is declared, recorded and live')
            [CompletionResult]::new('record', 'record', [CompletionResultType]::ParameterValue, 'Look at the record of what ctl owns, or rebuild it')
            [CompletionResult]::new('release', 'release', [CompletionResultType]::ParameterValue, 'Forget resources without deleting them')
            [CompletionResult]::new('target', 'target', [CompletionResultType]::ParameterValue, 'List targets, or describe one')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Run the reference server')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain an error code, or the fields of a kind')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print the manual page, or write all of them')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'Print the version')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ctl;init' {
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'The project''s name [default: the folder''s]')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;validate' {
            [CompletionResult]::new('--rev', '--rev', [CompletionResultType]::ParameterName, 'Read this commit, branch or tag instead of HEAD')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'Take ctl.yaml and apis/ from another revision, such as a pull request''s base')
            [CompletionResult]::new('--api', '--api', [CompletionResultType]::ParameterName, 'Check this API description and nothing else (repeatable)')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--dirty', '--dirty', [CompletionResultType]::ParameterName, 'Check the files of the work tree, committed or not')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;plan' {
            [CompletionResult]::new('--rev', '--rev', [CompletionResultType]::ParameterName, 'Read this commit, branch or tag instead of HEAD')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'Take ctl.yaml and apis/ from another revision, such as a pull request''s base')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'Only resources with these labels: team=shop,tier!=test (repeatable; all must hold)')
            [CompletionResult]::new('--selector', '--selector', [CompletionResultType]::ParameterName, 'Only resources with these labels: team=shop,tier!=test (repeatable; all must hold)')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--allow-deletes', '--allow-deletes', [CompletionResultType]::ParameterName, 'Let this very set of deletes through the guards (the plan names the sum)')
            [CompletionResult]::new('--allow-updates', '--allow-updates', [CompletionResultType]::ParameterName, 'Let the updates of this very plan through the guards (the plan names the sum)')
            [CompletionResult]::new('--accept-rewrite', '--accept-rewrite', [CompletionResultType]::ParameterName, 'Go on from COMMIT although it does not descend from what was applied (a force-push)')
            [CompletionResult]::new('--concurrency', '--concurrency', [CompletionResultType]::ParameterName, 'Requests in flight per endpoint, at most [default: 8, or the target''s]')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Requests per second and endpoint, at most: 50/s')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--dirty', '--dirty', [CompletionResultType]::ParameterName, 'Plan the files of the work tree, committed or not')
            [CompletionResult]::new('--detailed-exitcode', '--detailed-exitcode', [CompletionResultType]::ParameterName, 'Exit 2 when there are changes')
            [CompletionResult]::new('--show-all', '--show-all', [CompletionResultType]::ParameterName, 'Show every operation of a long plan')
            [CompletionResult]::new('--allow-replace', '--allow-replace', [CompletionResultType]::ParameterName, 'Let immutable changes delete and create again')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;apply' {
            [CompletionResult]::new('--rev', '--rev', [CompletionResultType]::ParameterName, 'Read this commit, branch or tag instead of HEAD')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'Take ctl.yaml and apis/ from another revision, such as a pull request''s base')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'Only resources with these labels: team=shop,tier!=test (repeatable; all must hold)')
            [CompletionResult]::new('--selector', '--selector', [CompletionResultType]::ParameterName, 'Only resources with these labels: team=shop,tier!=test (repeatable; all must hold)')
            [CompletionResult]::new('--expect', '--expect', [CompletionResultType]::ParameterName, 'Apply only if the plan has this checksum')
            [CompletionResult]::new('--allow-deletes', '--allow-deletes', [CompletionResultType]::ParameterName, 'Let this very set of deletes through the guards (the plan names the sum)')
            [CompletionResult]::new('--allow-updates', '--allow-updates', [CompletionResultType]::ParameterName, 'Let the updates of this very plan through the guards (the plan names the sum)')
            [CompletionResult]::new('--accept-rewrite', '--accept-rewrite', [CompletionResultType]::ParameterName, 'Go on from COMMIT although it does not descend from what was applied (a force-push)')
            [CompletionResult]::new('--on-error', '--on-error', [CompletionResultType]::ParameterName, 'What to do after a failure')
            [CompletionResult]::new('--concurrency', '--concurrency', [CompletionResultType]::ParameterName, 'Requests in flight per endpoint, at most [default: 8, or the target''s]')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Requests per second and endpoint, at most: 50/s')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'How long to wait for another run: 90s, 5m')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--auto-approve', '--auto-approve', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--adopt-only', '--adopt-only', [CompletionResultType]::ParameterName, 'Record what is equal, touch no target; any other operation is refused')
            [CompletionResult]::new('--allow-replace', '--allow-replace', [CompletionResultType]::ParameterName, 'Let immutable changes delete and create again')
            [CompletionResult]::new('--detailed-exitcode', '--detailed-exitcode', [CompletionResultType]::ParameterName, 'Exit 2 when something was changed')
            [CompletionResult]::new('--show-all', '--show-all', [CompletionResultType]::ParameterName, 'Show every operation of a long plan')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;watch' {
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('--interval', '--interval', [CompletionResultType]::ParameterName, 'How often to look, whatever else calls for it: 30s, 5m')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to log [default: text on a terminal, else json]')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to log [default: text on a terminal, else json]')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Serve status, events, metrics, orders and the webhook here; beyond loopback only with tokens. A second SOURCE has the next port, and so on')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'File with the bearer token that may give orders')
            [CompletionResult]::new('--read-token-file', '--read-token-file', [CompletionResultType]::ParameterName, 'File with the bearer token that may only look')
            [CompletionResult]::new('--webhook-secret-file', '--webhook-secret-file', [CompletionResultType]::ParameterName, 'File with the secret that signs webhooks; without it there is no webhook')
            [CompletionResult]::new('--election', '--election', [CompletionResultType]::ParameterName, 'Who decides which of several watchers writes')
            [CompletionResult]::new('--etcd', '--etcd', [CompletionResultType]::ParameterName, 'A member of the etcd cluster (repeatable, commas allowed)')
            [CompletionResult]::new('--concurrency', '--concurrency', [CompletionResultType]::ParameterName, 'Requests in flight per endpoint, at most [default: 8, or the target''s]')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Requests per second and endpoint, at most: 50/s')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--once', '--once', [CompletionResultType]::ParameterName, 'One cycle, then exit with its result')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Plan and report drift, never write')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;status' {
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The watcher''s address [default: the one that the watcher of this project wrote down]')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]')
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'The project whose watcher is meant: a path, or URL[//folder]')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-w', '-w', [CompletionResultType]::ParameterName, 'Show it again whenever it changes: every 2 seconds on a terminal, else a new block for each change')
            [CompletionResult]::new('--watch', '--watch', [CompletionResultType]::ParameterName, 'Show it again whenever it changes: every 2 seconds on a terminal, else a new block for each change')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;events' {
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'From so long ago on (10m, 2h), or after the event with this number')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Only this target, and what concerns all of them (repeatable, globs allowed)')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Only this target, and what concerns all of them (repeatable, globs allowed)')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print; json is one object a line')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print; json is one object a line')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The watcher''s address [default: the one that the watcher of this project wrote down]')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]')
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'The project whose watcher is meant: a path, or URL[//folder]')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Go on with what comes; after a lost connection from where it was')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Go on with what comes; after a lost connection from where it was')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;retry' {
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Only this target (a glob)')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Only this target (a glob)')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The watcher''s address [default: the one that the watcher of this project wrote down]')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]')
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'The project whose watcher is meant: a path, or URL[//folder]')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;suspend' {
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Only this target (a glob)')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Only this target (a glob)')
            [CompletionResult]::new('--for', '--for', [CompletionResultType]::ParameterName, 'It ends by itself after: 90s, 30m, 2h, 1d [default: only with `ctl resume`]')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why, for whoever looks at `ctl status`')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The watcher''s address [default: the one that the watcher of this project wrote down]')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]')
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'The project whose watcher is meant: a path, or URL[//folder]')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;resume' {
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Only this target (a glob)')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Only this target (a glob)')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The watcher''s address [default: the one that the watcher of this project wrote down]')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]')
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'The project whose watcher is meant: a path, or URL[//folder]')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;rollback' {
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why, for whoever looks at `ctl status`')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The watcher''s address [default: the one that the watcher of this project wrote down]')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]')
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'The project whose watcher is meant: a path, or URL[//folder]')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;approve' {
            [CompletionResult]::new('--for', '--for', [CompletionResultType]::ParameterName, 'How long it holds')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The watcher''s address [default: the one that the watcher of this project wrote down]')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'File with the token to send [default: $CTL_TOKEN, or that of the watcher on this machine]')
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'The project whose watcher is meant: a path, or URL[//folder]')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;history' {
            [CompletionResult]::new('--rev', '--rev', [CompletionResultType]::ParameterName, 'Read this commit, branch or tag instead of HEAD')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'Take ctl.yaml and apis/ from another revision, such as a pull request''s base')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'How many versions of each target')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'How many versions of each target')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;show' {
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'Source')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;record' {
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'List what ctl owns')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check the record against itself and against the targets')
            [CompletionResult]::new('rebuild', 'rebuild', [CompletionResultType]::ParameterValue, 'Make a lost record anew: adopt again what bears our mark (asks first)')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ctl;record;show' {
            [CompletionResult]::new('--rev', '--rev', [CompletionResultType]::ParameterName, 'Read this commit, branch or tag instead of HEAD')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'Take ctl.yaml and apis/ from another revision, such as a pull request''s base')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;record;verify' {
            [CompletionResult]::new('--rev', '--rev', [CompletionResultType]::ParameterName, 'Read this commit, branch or tag instead of HEAD')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'Take ctl.yaml and apis/ from another revision, such as a pull request''s base')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;record;rebuild' {
            [CompletionResult]::new('--rev', '--rev', [CompletionResultType]::ParameterName, 'Read this commit, branch or tag instead of HEAD')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'Take ctl.yaml and apis/ from another revision, such as a pull request''s base')
            [CompletionResult]::new('-t', '-t', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Only this target (repeatable, globs allowed)')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;record;help' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'List what ctl owns')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check the record against itself and against the targets')
            [CompletionResult]::new('rebuild', 'rebuild', [CompletionResultType]::ParameterValue, 'Make a lost record anew: adopt again what bears our mark (asks first)')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ctl;record;help;show' {
            break
        }
        'ctl;record;help;verify' {
            break
        }
        'ctl;record;help;rebuild' {
            break
        }
        'ctl;record;help;help' {
            break
        }
        'ctl;release' {
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'Source')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;target' {
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the targets of a project')
            [CompletionResult]::new('describe', 'describe', [CompletionResultType]::ParameterValue, 'Describe one target: endpoints, kinds, how writes are guarded')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ctl;target;list' {
            [CompletionResult]::new('--rev', '--rev', [CompletionResultType]::ParameterName, 'Read this commit, branch or tag instead of HEAD')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'Take ctl.yaml and apis/ from another revision, such as a pull request''s base')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;target;describe' {
            [CompletionResult]::new('--source', '--source', [CompletionResultType]::ParameterName, 'Source')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;target;help' {
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the targets of a project')
            [CompletionResult]::new('describe', 'describe', [CompletionResultType]::ParameterValue, 'Describe one target: endpoints, kinds, how writes are guarded')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ctl;target;help;list' {
            break
        }
        'ctl;target;help;describe' {
            break
        }
        'ctl;target;help;help' {
            break
        }
        'ctl;serve' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Where to listen; without a token only on loopback')
            [CompletionResult]::new('--data', '--data', [CompletionResultType]::ParameterName, 'Folder of the durable data')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Requests per second and client; more is answered 429')
            [CompletionResult]::new('--token-file', '--token-file', [CompletionResultType]::ParameterName, 'File that holds the bearer token that clients must send')
            [CompletionResult]::new('--kinds', '--kinds', [CompletionResultType]::ParameterName, 'Schema of further kinds')
            [CompletionResult]::new('--faults', '--faults', [CompletionResultType]::ParameterName, 'Misbehave on purpose, for tests (the list is below): slow=200ms,conflict=0.05,seed=7')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--debug-counters', '--debug-counters', [CompletionResultType]::ParameterName, 'Count requests at /debug/requests, for benchmarks')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;explain' {
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;completions' {
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;man' {
            [CompletionResult]::new('--dir', '--dir', [CompletionResultType]::ParameterName, 'Write a page for each command into DIR')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;version' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to print')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--chdir', '--chdir', [CompletionResultType]::ParameterName, 'Run as if started in DIR')
            [CompletionResult]::new('--state', '--state', [CompletionResultType]::ParameterName, 'Folder for mirrors, locks and the embedded server''s data [default: $XDG_STATE_HOME/ctl]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say less: no progress, no warnings')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more on stderr: requests, retries (-vv: also what was read from where)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'ctl;help' {
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Write a starter project: ctl.yaml and a first manifest')
            [CompletionResult]::new('validate', 'validate', [CompletionResultType]::ParameterValue, 'Check manifests and descriptions without contacting anything')
            [CompletionResult]::new('plan', 'plan', [CompletionResultType]::ParameterValue, 'Show what would change, and change nothing')
            [CompletionResult]::new('apply', 'apply', [CompletionResultType]::ParameterValue, 'Make the targets what the commit says: delete, then create, then update')
            [CompletionResult]::new('watch', 'watch', [CompletionResultType]::ParameterValue, 'Keep the targets as the commit says: on every commit, on an interval, through outages')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show how things stand: what is in sync, what is not, why, and what to do')
            [CompletionResult]::new('events', 'events', [CompletionResultType]::ParameterValue, 'Show what a watcher did and what happened to it')
            [CompletionResult]::new('retry', 'retry', [CompletionResultType]::ParameterValue, 'Tell a watcher to try again now, whatever waits')
            [CompletionResult]::new('suspend', 'suspend', [CompletionResultType]::ParameterValue, 'Tell a watcher to write nothing until it is told to go on')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Tell a watcher to go on, with the newest commit')
            [CompletionResult]::new('rollback', 'rollback', [CompletionResultType]::ParameterValue, 'Tell a watcher to apply the commit of an older version, and to stay there')
            [CompletionResult]::new('approve', 'approve', [CompletionResultType]::ParameterValue, 'Let a refused plan through, once')
            [CompletionResult]::new('history', 'history', [CompletionResultType]::ParameterValue, 'List what was applied: version, time, commit, who, result')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show one applied version, or one resource as it is declared, recorded and live')
            [CompletionResult]::new('record', 'record', [CompletionResultType]::ParameterValue, 'Look at the record of what ctl owns, or rebuild it')
            [CompletionResult]::new('release', 'release', [CompletionResultType]::ParameterValue, 'Forget resources without deleting them')
            [CompletionResult]::new('target', 'target', [CompletionResultType]::ParameterValue, 'List targets, or describe one')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Run the reference server')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain an error code, or the fields of a kind')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print the manual page, or write all of them')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'Print the version')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ctl;help;init' {
            break
        }
        'ctl;help;validate' {
            break
        }
        'ctl;help;plan' {
            break
        }
        'ctl;help;apply' {
            break
        }
        'ctl;help;watch' {
            break
        }
        'ctl;help;status' {
            break
        }
        'ctl;help;events' {
            break
        }
        'ctl;help;retry' {
            break
        }
        'ctl;help;suspend' {
            break
        }
        'ctl;help;resume' {
            break
        }
        'ctl;help;rollback' {
            break
        }
        'ctl;help;approve' {
            break
        }
        'ctl;help;history' {
            break
        }
        'ctl;help;show' {
            break
        }
        'ctl;help;record' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'List what ctl owns')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check the record against itself and against the targets')
            [CompletionResult]::new('rebuild', 'rebuild', [CompletionResultType]::ParameterValue, 'Make a lost record anew: adopt again what bears our mark (asks first)')
            break
        }
        'ctl;help;record;show' {
            break
        }
        'ctl;help;record;verify' {
            break
        }
        'ctl;help;record;rebuild' {
            break
        }
        'ctl;help;release' {
            break
        }
        'ctl;help;target' {
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the targets of a project')
            [CompletionResult]::new('describe', 'describe', [CompletionResultType]::ParameterValue, 'Describe one target: endpoints, kinds, how writes are guarded')
            break
        }
        'ctl;help;target;list' {
            break
        }
        'ctl;help;target;describe' {
            break
        }
        'ctl;help;serve' {
            break
        }
        'ctl;help;explain' {
            break
        }
        'ctl;help;completions' {
            break
        }
        'ctl;help;man' {
            break
        }
        'ctl;help;version' {
            break
        }
        'ctl;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
