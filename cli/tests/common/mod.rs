//! What the tests of the command line share.
#![allow(dead_code)] // each test uses some of it

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use npyz::WriterBuilder;

/// The command line, in the folder of the workspace.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resnet"));
    command.args(arguments).env_remove("RESNET_ISA");
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    command
}

pub(crate) fn resnet(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// What a command prints that must succeed.
pub(crate) fn stdout(arguments: &[&str]) -> String {
    let output = resnet(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The message of a command that must end with this code, having printed nothing else.
pub(crate) fn stderr(code: i32, arguments: &[&str]) -> String {
    let output = resnet(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!message.contains("panicked"), "{arguments:?}: {message}");
    message
}

/// A place for a file of this test's own.
pub(crate) fn scratch(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    folder.join(name).display().to_string()
}

pub(crate) fn write_npy<T: npyz::AutoSerialize + Copy>(name: &str, shape: &[u64], data: &[T]) -> String {
    let path = scratch(name);
    let file = std::fs::File::create(&path).unwrap();
    let mut array = npyz::WriteOptions::new().default_dtype().shape(shape).writer(file).begin_nd().unwrap();
    array.extend(data.iter().copied()).unwrap();
    array.finish().unwrap();
    path
}
