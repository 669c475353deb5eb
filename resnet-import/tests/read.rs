//! Files are known by what they hold, and only those of their own folder are opened.

#[allow(dead_code)] // other tests write more
mod wire;

use std::fs;
use std::path::{Path, PathBuf};

use resnet_import::read;
use wire::external;

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir(&folder).unwrap();
    folder
}

fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seeds")
}

#[test]
fn names_do_not_matter() {
    let folder = folder("names");
    let seeds = fs::read_dir(seeds()).unwrap().map(|entry| entry.unwrap().path());
    let small: Vec<_> = seeds.filter(|path| path.to_string_lossy().contains("/small")).collect();
    assert!(small.len() > 10);
    for path in &small {
        fs::copy(path, folder.join(path.file_name().unwrap())).unwrap(); // what an index names, too
    }
    for path in small {
        for name in ["renamed", "renamed.bin", "renamed.onnx"] {
            let renamed = folder.join(name);
            fs::copy(&path, &renamed).unwrap();
            let [as_it_was, renamed] = [&path, &renamed].map(|path| format!("{:?}", read(path).unwrap()));
            assert_eq!(renamed, as_it_was, "{} as {name}", path.display());
        }
    }
}

/// A link to a file elsewhere would bring what is there into the weights.
#[cfg(unix)]
#[test]
fn links_do_not_lead_elsewhere() {
    use std::os::unix::fs::symlink;
    let (folder, elsewhere) = (folder("links"), folder("elsewhere"));
    let (model, data) = (folder.join("model.onnx"), folder.join("w.data"));
    fs::write(elsewhere.join("secret"), [0; 12]).unwrap();
    fs::write(&model, external("w.data", "0", "12")).unwrap();
    symlink(elsewhere.join("secret"), &data).unwrap();
    let error = read(&model).unwrap_err().to_string();
    assert!(error.contains("`w.data` is a link to a file in another folder"), "{error}");
    // One of the own folder is as good as the file.
    fs::remove_file(&data).unwrap();
    fs::write(folder.join("tensors"), [0; 12]).unwrap();
    symlink("tensors", &data).unwrap();
    assert!(read(&model).is_ok());
    // Caches of downloads hold links only, to files that lie together.
    fs::remove_file(&data).unwrap();
    fs::rename(&model, elsewhere.join("0")).unwrap();
    symlink(elsewhere.join("0"), &model).unwrap();
    symlink(elsewhere.join("secret"), &data).unwrap();
    assert!(read(&model).is_ok());
}
