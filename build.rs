//! Lists the API descriptions in `apis/`, so that no name of a product has to stand in the source.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "that is how cargo says where the package is")]
    let package = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo sets CARGO_MANIFEST_DIR")?;
    let folder = Path::new(&package).join("apis");
    println!("cargo::rerun-if-changed=apis");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    let mut table = String::from("pub(super) static TABLE: &[(&str, &str)] = &[\n");
    for path in &files {
        let name = path.file_stem().and_then(|s| s.to_str()).ok_or("a description's name is not UTF-8")?;
        // Relative to the package, so that two clones may share what is built.
        writeln!(table, "    ({name:?}, include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/apis/{name}.yaml\"))),")?;
    }
    table.push_str("];\n");
    #[expect(clippy::disallowed_methods, reason = "that is how cargo says where generated code goes")]
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    std::fs::write(Path::new(&out).join("apis.rs"), table)?;
    Ok(())
}
