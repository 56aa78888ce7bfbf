/// What a diagnostic's code means: one paragraph, and what to do. `None` for a code that nobody uses.
pub fn explain(code: &str) -> Option<&'static str> {
    TEXTS.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
}

/// All codes that can be explained, sorted.
pub fn codes() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|(code, _)| *code)
}

const TEXTS: &[(&str, &str)] = &[
    (
        "ambiguous-scalar",
        "A value without quotes (`no`, `017`, `1_000`) is read differently by different YAML versions. Here it is a \
         text. Write quotes around it to say so, or write the number or the boolean that you mean.",
    ),
    (
        "api-not-pinned",
        "The API description comes from the repository. It says which requests are sent, so a credential goes with it \
         only after the operator has read it and put its `sha256:…` under `api` in their file.",
    ),
    (
        "container",
        "The resource holds others that this plan does not delete by themselves; deleting it would take them along. \
         Declare them, delete them first, or keep the container.",
    ),
    (
        "credential-unknown",
        "The project names a credential that the operator's file does not hold. The operator adds it, with the `hosts` \
         that it may go to.",
    ),
    (
        "credential-unreadable",
        "The operator's file says where a credential comes from (a variable, a file, a command), and it could not be \
         read from there. Nothing was sent.",
    ),
    (
        "deletes",
        "More would be deleted than one run may: by default 30 % of what is owned (from ten on), and never more than \
         100. Look whether the manifests are all there. If so, `--allow-deletes SUM` lets exactly this plan through.",
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
        "empty",
        "Nothing is declared for a target that owns something: everything would be deleted. This is most often a wrong \
         path or branch. If it is meant, `--allow-deletes SUM` lets exactly this plan through.",
    ),
    (
        "exclusive-first-run",
        "The target is `own: exclusive` and has no record yet: all that is there and not declared would be deleted. \
         Look at the plan, then pass its deletes' checksum with `--allow-deletes SUM`.",
    ),
    (
        "grant-exclusive",
        "`own: exclusive` deletes whatever is not declared, and this credential grants only a part of the target. Both \
         together would delete what the grants fence off.",
    ),
    (
        "grant-refused",
        "The credential's `grant` in the operator's file does not let this repository and project write this resource. \
         Reading is not fenced; writing is.",
    ),
    (
        "operator-file",
        "The operator's file (`$XDG_CONFIG_HOME/ctl/credentials.yaml`, or CTL_CREDENTIALS, or the text of \
         CTL_CREDENTIALS_YAML) decides where this program may go and with what. It must be readable by its owner alone \
         (mode 0600). It has `credentials` (each with `hosts`, one of `header`, `basic`, `bearer`, `login`, and \
         perhaps `client-certificate`, `ca`, `api`, `grant`), `secrets`, `allow`, `record-key`, `ceiling` and `record`. \
         A value is a text, or one of {env: NAME}, {file: PATH}, {command: [PROGRAM, ARGUMENT]}, {text: …}.",
    ),
    (
        "origin-refused",
        "A repository may name any URL; the operator's file says which are reached. With a credential, the URL's scheme, \
         host and port must be among its `hosts`. Without one, among `allow` (by default this machine and the embedded \
         server). Nothing was contacted.",
    ),
    (
        "protected",
        "The resource has `protect: true`, now or when it was last applied: it is neither deleted nor replaced. Take the \
         mark away, apply that, and then delete.",
    ),
    (
        "record-place-refused",
        "The project wants its record at a place that the operator's file does not name. A configured remote needs no \
         leave; a URL stands under `record.push`, a folder under `record.file`.",
    ),
    (
        "replace",
        "A field that cannot be changed differs, so that the resource would have to be deleted and made again. Allow it \
         with `--allow-replace`, or in the manifest with `replace: allow`.",
    ),
    (
        "secret-refused",
        "A `{$secret: NAME}` goes only to the targets and kinds that the operator's file names for it, and only where a \
         shipped or pinned description calls the field secret.",
    ),
    (
        "secret-unreadable",
        "The operator's file says where the secret comes from (a variable, a file, a command), and it could not be read \
         from there. Nothing was sent.",
    ),
    (
        "updates",
        "More would be updated than the target's `updates` guard lets one run change. Raise it in the project and apply \
         that first, or make the change in parts.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_stand_once() {
        let all: Vec<&str> = codes().collect();
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    }

    #[test]
    fn an_unknown_code_is_not_explained() {
        assert!(explain("no-such-code").is_none());
        assert!(explain("origin-refused").is_some());
    }
}
