//! The texts, sorted by code.

pub(super) const TEXTS: &[(&str, &str)] = &[
    (
        "adopt-only",
        "`--adopt-only` records what is there and equal, and touches no target. The plan holds another operation, so \
         nothing was done. Make the manifest say what is there, or apply without the flag.",
    ),
    (
        "adopted-different",
        "A resource of this name is there already, and a field that cannot be changed differs. It is taken under \
         care as it is; the next plan will want to replace it.",
    ),
    (
        "alias-bomb",
        "YAML aliases would make the file many times larger than it is. They may expand it ten times at most. \
         Write out what is repeated, or split the file.",
    ),
    (
        "ambiguous-scalar",
        "A value without quotes (`no`, `017`, `1_000`) is read differently by different YAML versions. Here it is \
         a text. Write quotes around it to say so, or write the number or the boolean that you mean.",
    ),
    (
        "api-not-pinned",
        "The API description comes from the repository. It says which requests are sent, so a credential goes \
         with it only after the operator has read it and put its `sha256:…` under `api` in their file.",
    ),
    (
        "asks-to-wait",
        "The server asks to be left alone for a while (429 or 503 with Retry-After). Nothing is sent to that endpoint before \
         that time is over, a quarter of an hour at most; other endpoints go on. `ctl retry` asks at once.",
    ),
    (
        "bad-address",
        "An address is `target:kind/field/field`, each field percent-encoded, as a plan and `ctl record show` print \
         it; a version is `target@number`, as `ctl history` prints it.",
    ),
    ("bad-alias", "A YAML alias (`*name`) names an anchor that this document does not have, or one that holds itself."),
    ("bad-checksum", "A checksum is 64 hexadecimal digits. Copy the whole of it from the plan."),
    (
        "bad-description",
        "The API description says something that it cannot say, or leaves out what it must say. The place is \
         named; `docs/api-descriptions.md` teaches the words.",
    ),
    (
        "bad-endpoint",
        "The URL of an endpoint, its certificates and what the API description wants of it do not go together. \
         Nothing was contacted. Mend the target in ctl.yaml, or the operator's file.",
    ),
    (
        "bad-entry",
        "The repository's tree has an entry whose path could not exist or could mislead (`..`, a control \
         character, a backslash). It is not read, and without it the desired state would not be complete. Rename \
         it.",
    ),
    (
        "bad-environment",
        "A variable of the environment that `ctl` reads is not UTF-8. To go on without it would be to leave out what it says, \
         such as the operator's file. Set it to text, or unset it.",
    ),
    (
        "bad-etcd",
        "An address given with `--etcd` is none: write each member as `http://HOST:PORT` or \
         `https://HOST:PORT`.",
    ),
    (
        "bad-faults",
        "`--faults` of the reference server is a list such as `slow=200ms,drop-answer=0.05,seed=7`. `ctl serve \
         --help` names all faults.",
    ),
    (
        "bad-key",
        "A key of a mapping is not a plain text. Keys are texts; put quotes around a number or a boolean that is \
         meant as one.",
    ),
    ("bad-kinds", "The schema file of `ctl serve --kinds` cannot be used. The message names the place."),
    ("bad-merge", "`<<` merges mappings, and what stands there is none."),
    (
        "bad-name",
        "Names of projects, targets and endpoints have 1 to 63 of a-z, 0-9 and `-`, so that they are safe in \
         paths, refs and labels.",
    ),
    ("bad-number", "The text looks like a number and is none that JSON has. Put quotes around it if it is a text."),
    (
        "bad-order",
        "The order asks for what no watcher does: no time at all, a time of more than a year, a reason that is \
         longer than what is shown. Nothing was sent.",
    ),
    (
        "bad-reference",
        "A `{$value: …}` or `{$secret: …}` stands alone in its mapping and names a text. To write such a mapping \
         as data, double the dollar sign.",
    ),
    (
        "bad-selector",
        "A selector is `label=value`, `label!=value`, `label` or `!label`, with commas between; all of them must \
         hold.",
    ),
    (
        "bad-server",
        "The address of a watcher is `http://HOST:PORT` or `https://HOST`, perhaps with a path: no user, no \
         password, no query. A token comes from a file or from `CTL_TOKEN`.",
    ),
    ("bad-tag", "A YAML tag says a type that the value is not."),
    (
        "bad-token",
        "The file holds no token, or one with a character that no HTTP header may hold. A token is one line of \
         letters, digits and signs.",
    ),
    (
        "bad-url",
        "An endpoint's `url` is an absolute http or https URL without user and password, or `embedded`. \
         Credentials belong into the operator's file.",
    ),
    (
        "blocked",
        "A cycle of the target could not begin: its record, its manifests or a credential is in the way; the \
         message says which. It is tried again by itself.",
    ),
    ("broken-dependency", "`dependsOn` names a resource that nobody declares. Declare it, or take the line out."),
    (
        "broken-reference",
        "A field refers to a resource that is neither declared nor there. Declare it, or correct the name.",
    ),
    (
        "call-owed",
        "The API wants a call once after writes (`after-apply` in its description: commit, save, reload), and it did not go \
         through, or the run was over before it. The writes are done. The record knows that the call is owed: the next run \
         makes it, also where nothing else is to be done; `ctl watch` tries again by itself.",
    ),
    (
        "cannot-delete",
        "The manifest is gone, and this API cannot delete. The resource is forgotten by the record and stays at \
         the target.",
    ),
    (
        "cannot-listen",
        "The address of the reference server cannot be had: something else listens there, or it is not an address of \
         this machine. Choose another `--listen ADDR`.",
    ),
    ("cannot-read", "A file named on the command line cannot be read. Check the path, and who may read it."),
    ("cannot-write", "A file cannot be written. Choose a folder that you may write."),
    (
        "case-collision",
        "Two paths differ only in upper and lower case. On some file systems they are one file. Rename one.",
    ),
    (
        "conflict",
        "Somebody else changed the resource between the reading and the writing, again and again. It is read and \
         compared anew before each try, and never written blindly. Find out who else writes it.",
    ),
    (
        "container",
        "The resource holds others that this plan does not delete by themselves; deleting it would take them \
         along. Declare them, delete them first, or keep the container.",
    ),
    (
        "contested",
        "A rival keeps changing the field back: three times in ten minutes. It is left alone, and everything else \
         goes on. Take the field out of the manifest, or stop the rival.",
    ),
    (
        "control-character",
        "The file holds a control character that no text needs. It can hide something from a reviewer. Remove it, \
         or write it as an escape in double quotes.",
    ),
    (
        "credential-unknown",
        "The project names a credential that the operator's file does not hold. The operator adds it, with the \
         `hosts` that it may go to.",
    ),
    (
        "credential-unreadable",
        "The operator's file says where a credential comes from (a variable, a file, a command), and it could not \
         be read from there; or what `ca` or `client-certificate` name is no certificate, or has another key. Nothing was \
         sent.",
    ),
    ("custom-tag", "A YAML tag of one's own (`!name`) means nothing here. Remove it."),
    (
        "cycle",
        "Resources wait for each other in a circle, so that none can go first. Each edge is shown with its place. \
         Take one of them out.",
    ),
    (
        "defect",
        "ctl met something that it should have been written for, and is not: a defect of ctl itself. The place in its \
         source is named; the value is left out, for it may be secret. Run `ctl plan` to see how things stand: the next \
         run looks at what this one left, and settles it. Report the place, the version and the command.",
    ),
    (
        "deletes",
        "More would be deleted than one run may: by default 30 % of what is owned (from ten on), and never more \
         than 100. Look whether the manifests are all there. If so, `--allow-deletes SUM` lets exactly this plan \
         through.",
    ),
    (
        "duplicate-key",
        "A mapping says one key twice. Some readers would take the first, others the last; here neither is taken. \
         Remove one.",
    ),
    (
        "duplicate-resource",
        "Two manifests declare one resource, and they could fight. Remove one, or give it another name.",
    ),
    (
        "embedded-server",
        "The reference server inside `ctl` could not be started. Most often another run is using its data: wait until \
         that one is done.",
    ),
    (
        "emptied",
        "A watcher read a commit that wants nothing at all, where the one before it wanted something. That is more \
         often a slip than a wish, so the state before stays in force. Put the manifests back; or, if it is meant, stop \
         watching and run `ctl apply`, which asks.",
    ),
    (
        "empty",
        "Nothing is declared for a target that owns something: everything would be deleted. This is most often a \
         wrong path or branch. If it is meant, `--allow-deletes SUM` lets exactly this plan through.",
    ),
    (
        "eventual",
        "The API's lists lag behind its writes, so what one list says proves nothing: `apply` deletes nothing of this \
         kind. `watch` does, once complete lists of two of its cycles, an interval apart, show the same object. Or \
         delete it at the server; `ctl` then forgets it by itself. `ctl release` forgets it and leaves it there.",
    ),
    (
        "exclusive-first-run",
        "The target is `own: exclusive` and was not applied that way before: all that is there and not declared would \
         be deleted. Look at the plan, then pass its deletes' checksum with `--allow-deletes SUM`.",
    ),
    (
        "failed",
        "The server does not take what is to be written; its answer is shown with it. It is tried again by \
         itself, after longer and longer times. Mend the manifest, or what the server wants first.",
    ),
    (
        "first-run",
        "There is no record yet, so nothing is known to be ours and nothing can be deleted in this run. What is \
         declared and already there is adopted.",
    ),
    (
        "fits-nothing",
        "The selector of `-l` picks none of what is declared or recorded, so this run does nothing. It compares with \
         `metadata.labels` of the manifests; `ctl record show` tells what is recorded.",
    ),
    (
        "folder-gone",
        "A folder that `manifests` in ctl.yaml names is not in this commit. What it declared would be deleted, and that \
         may be a slip. If it is meant, pass the deletes' checksum with `--allow-deletes SUM`, then take the folder out \
         of ctl.yaml.",
    ),
    (
        "foreign",
        "The resource carries the ownership mark of another project. It is not touched. Remove it from one of the \
         two projects, or `ctl release` it there.",
    ),
    (
        "grant-exclusive",
        "`own: exclusive` deletes whatever is not declared, and this credential grants only a part of the target. \
         Both together would delete what the grants fence off.",
    ),
    (
        "grant-refused",
        "The credential's `grant` in the operator's file does not let this repository and project write this \
         resource. Reading is not fenced; writing is.",
    ),
    (
        "held",
        "After `ctl rollback` the watchers hold the target at an older commit until `ctl resume`, and go back to it \
         after whatever `ctl apply` does there.",
    ),
    (
        "held-back",
        "A delete waits because something that it depends on could not be read in this run. It is planned again \
         next time.",
    ),
    (
        "identity",
        "Another server answers under this name than the one that the record speaks of. If it is the same server at \
         another address, `ctl record rebuild` says so; otherwise what the record names is not there.",
    ),
    (
        "ignored",
        "The API description says that this resource is never touched (`ignore`), and a manifest declares it. \
         Remove the manifest.",
    ),
    (
        "in-doubt",
        "A write was sent and nobody can tell whether it happened: its answer was lost, and what is there now is \
         neither what was there nor what was sent. It is not owned. Look at the object; the next `ctl apply` offers \
         to adopt it.",
    ),
    ("later", "The field or the word is part of the design and not carried out yet. Nothing was ignored silently."),
    (
        "lineage",
        "The commit is not a descendant of the one that was applied. With the embedded server this is only a warning; \
         elsewhere it is refused.",
    ),
    (
        "listen",
        "The watcher cannot open the address given with `--listen`. Write an address and a port, such as \
         127.0.0.1:9090; beyond this machine it needs `--token-file`.",
    ),
    (
        "literal-brackets",
        "A condition of `ignore` or `keep` holds `[...]`, which elsewhere stands for a set of characters. Here only `*` and `?` \
         are special, so that it fits texts with these very brackets. Name what is meant one by one, or by its beginning.",
    ),
    (
        "locked",
        "Another run holds the record: its intent is open, and its time has not run out. `--wait 5m` waits for it. \
         Nothing has to be unlocked by hand: the intent of a process that is gone is settled by the next run.",
    ),
    ("missing-field", "A field that must be there is not. The place of the mapping around it is shown."),
    (
        "missing-folder",
        "The project names a folder of manifests that the commit does not have. To read it as empty would delete \
         everything in it, so it is an error. Correct the path, or take it out of the project.",
    ),
    (
        "newer-leader",
        "Another watcher was elected for this target since, and wrote its record. What this one knew is old, so it writes \
         nothing more; it follows as soon as it leads again.",
    ),
    (
        "no-consent",
        "There is no terminal to ask on, and `--yes` is not given. Review the plan, then run with `--yes`, better \
         with `--yes --expect SUM`.",
    ),
    (
        "no-election",
        "`--etcd` names a coordinator, and no election was asked for. Add `--election etcd`, or leave \
         `--etcd` out.",
    ),
    (
        "no-etcd",
        "`--election etcd` was asked for without the addresses of etcd. Name its members: `--etcd \
         http://10.0.0.1:2379,http://10.0.0.2:2379`.",
    ),
    (
        "no-folder",
        "The folder to run in is not there: `-C DIR` names none, or the current one was deleted. Nothing was looked for in \
         the folders above it, since a project that is found there is another one.",
    ),
    ("no-listener", "A webhook needs an address to arrive at: add `--listen ADDR`."),
    ("no-project", "There is no `ctl.yaml` here or above, or it cannot be read. `ctl init` writes one."),
    (
        "no-resource",
        "The address is neither declared nor recorded nor at the target. `ctl record show` lists addresses; each \
         field is percent-encoded.",
    ),
    ("no-runtime", "The machine gives no threads. Nothing was done."),
    ("no-version", "The record of that target holds no such version. `ctl history` lists what there is."),
    ("no-watch", "This build of ctl does not watch yet. `ctl apply --yes` from a timer does the same work."),
    (
        "no-watcher",
        "The state folder has no address of a watcher of this project, and none was named. Start one with `ctl \
         watch --listen ADDR`, or name one with `--server URL` or `CTL_SERVER`. With another `--state` folder the \
         watcher's address is there.",
    ),
    (
        "normalised",
        "The server rewrites a value that was written, so that it differs for ever. This is reported and never \
         fought over. Write what the server makes of it, or add the rule that is named to the API description.",
    ),
    (
        "not-a-manifest",
        "A file in a folder of `manifests` looks like a manifest and is not read, since its name does not end with `.yaml` or \
         `.yml`. What it declares is not wanted, so far as `ctl` knows, and is deleted if it is owned. Rename it (JSON is YAML \
         too), or move it elsewhere.",
    ),
    (
        "not-accepted",
        "The watcher understood the order and did not carry it out; the message says why. Nothing was changed by \
         it.",
    ),
    (
        "not-allowed",
        "A server answered 401 or 403. Its part of the plan is unknown, and nothing there is changed. Check the \
         credential in the operator's file, and what it may do at the server.",
    ),
    (
        "not-cleared",
        "A field was sent once and is no longer stated, and the update of this kind has no way to say so: it names only \
         what changes, or has a fixed place for the field. Say in the description what stands for nothing: `absent: null`, \
         or `default:` with what the server has then. Until then this update is not sent, and the field stays as it is.",
    ),
    (
        "not-ours",
        "The resource's manifest is gone, but what is there is not what was applied: it was made anew by somebody \
         else, or carries another mark. It is not deleted. Delete it by hand, or let `ctl release` forget it.",
    ),
    (
        "not-read",
        "A part of a target could not be read, so the record cannot be made anew: what was not seen would be \
         forgotten. `ctl plan` says why.",
    ),
    (
        "not-refused",
        "No plan with such a checksum is refused at the moment, so there is nothing to let through. The desired \
         state or the target moved on, and the plan is another one: `ctl status` shows what is refused now.",
    ),
    (
        "not-released",
        "The mark could not be taken off, so the resource stays managed. The message holds the server's words.",
    ),
    (
        "not-settled",
        "An interrupted run left an operation that cannot be looked at now. It stays in the record, and the next run \
         looks again.",
    ),
    (
        "not-understood",
        "A server answered, and the answer is not what the API description says: nothing may be concluded from it. \
         Compare both; `-v` shows the requests.",
    ),
    ("not-utf8", "The file is not UTF-8. Save it as UTF-8."),
    (
        "not-yet",
        "This word is reserved for a later version, which will give it a meaning. It is refused, so that nobody \
         relies on its being ignored.",
    ),
    (
        "nothing-fits",
        "No line of the record fits the address. `ctl record show` lists the lines; globs are allowed, in quotes.",
    ),
    (
        "nothing-to-explain",
        "`ctl explain` knows error codes, the APIs that ship with ctl and the targets of the project around the \
         current folder.",
    ),
    (
        "notify-socket",
        "`NOTIFY_SOCKET` is set by a service manager and names a socket: a path, or `@` and a name. What stands there \
         is neither, so the manager is not told that the watcher is ready or alive. Unset it, or mend the service.",
    ),
    (
        "only-here",
        "Under election an order is to be known by every watcher, and the place beside the record where they look \
         could not be reached. A suspension holds at once where it was given, and is carried over when that place is \
         back; until then another watcher may lead and write. Say the same to it, or wait.",
    ),
    (
        "open-intent",
        "A run began and has not recorded its outcome. If its process is gone or its time is over, the next `ctl \
         apply` settles it; `ctl plan` only reports it.",
    ),
    (
        "operator-file",
        "The operator's file (`$XDG_CONFIG_HOME/ctl/credentials.yaml`, or CTL_CREDENTIALS, or the text of \
         CTL_CREDENTIALS_YAML) decides where this program may go and with what. It must be readable by its owner \
         alone (mode 0600). It has `credentials` (each with `hosts`, one of `header`, `basic`, `bearer`, `login`, \
         and perhaps `client-certificate`, `ca`, `api`, `grant`), `secrets`, `allow`, `record-key`, `ceiling`, \
         `record` and `limits`. A value is a text, or one of {env: NAME}, {file: PATH}, {command: [PROGRAM, ARGUMENT]}, {text: \
         …}.",
    ),
    (
        "ordered",
        "Just before a cycle would have written, the watcher read what people ordered anywhere, and it is not what \
         the cycle was begun with. Nothing was written; the next cycle obeys.",
    ),
    (
        "orders-unknown",
        "What people ordered the watchers to do could not be read. `ctl apply` does what you ask all the \
         same; watchers under election write nothing until they can read it.",
    ),
    (
        "orders-unreadable",
        "What people asked of an earlier watcher (suspend, rollback, approve) cannot be read, and to forget \
         it might let something happen that a person forbade. Look at the file that is named; remove it if \
         nothing in it is to hold any more.",
    ),
    (
        "origin-refused",
        "A repository may name any URL; the operator's file says which are reached. With a credential, the URL's \
         scheme, host and port must be among its `hosts`. Without one, among `allow` (by default this machine and \
         the embedded server). Nothing was contacted.",
    ),
    (
        "orphan-record",
        "There is a record of a target that ctl.yaml does not have any more. What it owns is left alone. Put the \
         target back to manage it, or to release it.",
    ),
    (
        "other-folder",
        "The record belongs to a project of the same name in another folder of the repository. Two projects must not \
         share a record: rename one of them. A project that was moved is no other one: once its old folder has no ctl.yaml \
         any more, the record follows it.",
    ),
    (
        "other-key",
        "The record names a resource that is not there under its key, and yet not gone: the description gives its kind other \
         key fields than before, or somebody gave it another name at the server. It stays recorded and is not touched. Take \
         the change back, declare it under its new key so that it is adopted, or `ctl release` it.",
    ),
    (
        "other-plan",
        "`--expect` names another plan than the one that was made now: something real moved since it was reviewed. \
         Look at the new plan.",
    ),
    (
        "outcome-lost",
        "The targets were written, and the outcome could not be put where the others see it. It is kept on this machine \
         where that was possible; the next run shares it, or settles the intent by looking at what is there.",
    ),
    (
        "output",
        "What was to be printed could not be written: the disk is full, or standard output is closed for writing. A file \
         that holds a part of it is not to be trusted. What was done at the targets is in the record.",
    ),
    (
        "plain-http",
        "A token would travel in the clear to another machine, where anybody on the way could use it. Use https, \
         or a tunnel that ends on this machine.",
    ),
    (
        "protected",
        "The resource has `protect: true`, now or when it was last applied: it is neither deleted nor replaced. \
         Take the mark away, apply that, and then delete.",
    ),
    (
        "record-damaged",
        "The record of a target is there and is not what `ctl` writes: what is owned is not known for sure, so nothing is \
         written. `ctl record verify` says what is wrong; `ctl record rebuild` makes it anew from what can be proved.",
    ),
    (
        "record-fenced",
        "Under election a later leader wrote this record, so that whoever leads no more may not. Nothing was written, and \
         the leader goes on. If etcd was made anew its numbers began again, below those in the record: `ctl record \
         rebuild` forgets them.",
    ),
    (
        "record-moved",
        "Another run finished between planning and applying, and the plan is another one now. Nothing was written. \
         Run again and look at the new plan.",
    ),
    (
        "record-not-shared",
        "In CI the runner goes away and takes a local record with it, so the next run would own nothing. Share the \
         record: `record: {push: origin}` in ctl.yaml.",
    ),
    (
        "record-place-refused",
        "The project wants its record at a place that the operator's file does not name. A configured remote \
         needs no leave; a URL stands under `record.push`, a folder under `record.file`.",
    ),
    (
        "rehearsal",
        "The target was asked what the write would do, and would refuse it. No write was sent to this target.",
    ),
    (
        "renamed",
        "The manifest's `previously` names a former address, and the API cannot rename: the resource is made anew \
         and the old one deleted.",
    ),
    (
        "replace",
        "A field that cannot be changed differs, so that the resource would have to be deleted and made again. \
         Allow it with `--allow-replace`, or in the manifest with `replace: allow`.",
    ),
    (
        "restricted",
        "Something that is not declared still refers to what is to be deleted. Declare it, or make it let go by \
         hand.",
    ),
    (
        "secret-file",
        "A file with a token or a webhook's secret cannot be read, is empty, or is too large. Put a long \
         random text into a file that only you can read.",
    ),
    (
        "secret-in-clear",
        "A manifest states a text or a number in a field that the API description calls secret. Whoever can read the \
         repository could read it, and so could whoever can read the record. Write `{$secret: NAME}`, give the \
         operator's file the value, and change it at the server: what was once committed is known.",
    ),
    (
        "secret-refused",
        "A `{$secret: NAME}` goes only to the targets and kinds that the operator's file names for it, and only \
         where a shipped or pinned description calls the field secret.",
    ),
    (
        "secret-unreadable",
        "The operator's file says where the secret comes from (a variable, a file, a command), and it could not \
         be read from there. Nothing was sent.",
    ),
    ("server", "The reference server cannot run like this. The message says why."),
    (
        "settled",
        "An interrupted run was looked at, operation by operation: what it made is owned, what it did not do is not, \
         and its intent is gone from the record.",
    ),
    (
        "source-object-missing",
        "An object that the commit needs is not in the repository: it was pruned, or a fetch was cut. `git fsck` names what \
         is missing; `git fetch --refetch` brings it again.",
    ),
    (
        "stale-source",
        "The repository cannot be reached or read, so the last known good commit stays in force: drift is \
         corrected and nothing is deleted. It is asked again by itself.",
    ),
    ("state-folder", "The folder for locks and mirrors cannot be written. Choose another one with `--state DIR`."),
    (
        "still-declared",
        "A released resource still has a manifest, so the next apply adopts it again. Take the manifest out.",
    ),
    (
        "submodule",
        "A submodule lies among the manifests. Its content belongs to another repository and is not read. Copy \
         the files, or move the submodule out of the folder.",
    ),
    (
        "suspended",
        "A person stopped the target with `ctl suspend`: nothing is written there, and drift is still reported. \
         `ctl resume` lets it go on.",
    ),
    (
        "symlink",
        "A symbolic link lies among the manifests. Links are not followed, because they can lead out of the tree. \
         Put the file itself there.",
    ),
    ("tab", "YAML is indented with blanks. Replace the tab."),
    (
        "template-leftover",
        "The file still holds marks of a template (`{{ … }}`) that nobody filled in. Render it before it is \
         committed.",
    ),
    (
        "token-readable",
        "The file holds what gives power over a watcher, and others may read or replace it. It must belong to \
         you, and only you may decide about it: `chmod 600`.",
    ),
    ("too-deep", "Values are nested deeper than 64 levels."),
    (
        "too-large",
        "A file, a project, its documents and its values have limits, so that nobody's commit can cost more than bounded \
         memory. Split what is named. Or the operator raises the limit that is named, under `limits` in the operator's file.",
    ),
    (
        "uncommitted",
        "Files of the work tree differ from the commit. The commit is what counts: commit them, or look at them with \
         `ctl plan --dirty`.",
    ),
    (
        "unknown-api",
        "There is no `apis/NAME.yaml` in the repository, and no description of that name ships with ctl. \
         docs/api-descriptions.md shows how to write one.",
    ),
    (
        "unknown-field",
        "The kind has no field of this name, and a misspelled field would silently do nothing. `ctl explain KIND` \
         lists the fields.",
    ),
    ("unknown-kind", "The target's API description has no kind of this name. `ctl target describe NAME` lists them."),
    ("unknown-target", "The project has no target of that name. The message lists what it has."),
    (
        "unlistable",
        "The API has no list for a kind, so what is there and not declared cannot be known. `own: exclusive` would \
         delete by guessing; use `own: recorded`.",
    ),
    (
        "unreachable",
        "A server did not answer, or not in time. Its part of the plan is unknown, and nothing there is changed. \
         Check that it runs and that the URL is right.",
    ),
    (
        "unreadable",
        "A server's list holds an object that is JSON to the eye and no value: a number beyond all bounds, half of a \
         sign, a member that stands twice. Nobody can tell what it is, so nothing happens to it.",
    ),
    (
        "updates",
        "More would be updated than the target's `updates` guard lets one run change. If it is meant, \
         `--allow-updates SUM` lets exactly this plan through; or make the change in parts.",
    ),
    (
        "watched",
        "The record carries the fencing token of an elected watcher. `ctl apply` may write beside it: it waits for \
         an open run, and passes the token on in the record, so that no older leader comes back by it; its requests \
         carry none. The watchers then go on from there.",
    ),
    (
        "watcher-answer",
        "Something answered at the address, and it is no watcher of this version: a proxy, a login page, another \
         service. Redirects are never followed, so that the token goes nowhere else.",
    ),
    (
        "watcher-denied",
        "The watcher wants a token, does not know this one, or does not let it give orders: the token of \
         `--read-token-file` may only look.",
    ),
    (
        "watcher-runs",
        "Another watcher of this project runs on this machine with the same state folder. Look at it with \
         `ctl status`. Watchers that take over from each other need `--election etcd` and a `--state DIR` \
         each.",
    ),
    (
        "watcher-unreachable",
        "The watcher did not answer, or not in time. It ended, hangs, or is somewhere else. `ctl status` without \
         `--server` then computes how things stand; an order that was not answered may have arrived.",
    ),
    (
        "wrong-type",
        "The value is of another type than the field takes. Text and number are different things unless the \
         description says otherwise.",
    ),
    ("wrong-value", "The field takes only certain values, and this is none of them."),
    (
        "yaml-syntax",
        "The file is not YAML. The place is where the reader lost its way; the mistake is there or just before.",
    ),
];
