//! The descriptions that come with the program.

include!(concat!(env!("OUT_DIR"), "/apis.rs"));

/// The descriptions that come with the program: name and YAML, sorted by name.
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    TABLE
}

/// The text of the shipped description called `name`.
pub fn shipped_text(name: &str) -> Option<&'static str> {
    TABLE.iter().find(|(found, _)| *found == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use crate::manifest::api::ApiDescription;

    #[test]
    fn every_shipped_description_reads_without_an_error_or_a_warning() {
        assert!(!super::shipped().is_empty());
        for (name, text) in super::shipped() {
            match ApiDescription::parse(name, text) {
                Ok((api, warnings)) => assert!(warnings.is_empty(), "{}: {warnings:?}", api.name),
                Err(errors) => panic!("{name}: {errors:?}"),
            }
        }
    }
}
