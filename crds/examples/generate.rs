//! Writes the definitions of the three kinds to `crds/yaml`.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    for definition in pvecm_crds::install::definitions() {
        let name = pvecm_crds::install::file_name(&definition);
        std::fs::write(folder.join(name), pvecm_crds::yaml::write(&definition)?)?;
    }
    Ok(())
}
