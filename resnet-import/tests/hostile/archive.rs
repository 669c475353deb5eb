//! Zip archives, and checkpoints of PyTorch in them.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// An entry. What the directory says of it can be wrong.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) method: u16,
    pub(crate) packed: Vec<u8>,
    pub(crate) size: u32,
}

impl Entry {
    pub(crate) fn stored(name: &str, content: &[u8]) -> Self {
        Entry { name: name.into(), method: 0, packed: content.into(), size: content.len() as u32 }
    }

    pub(crate) fn deflated(name: &str, content: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        let packed = encoder.finish().unwrap();
        Entry { name: name.into(), method: 8, packed, size: content.len() as u32 }
    }
}

/// An archive of these entries.
pub(crate) fn zip(entries: &[Entry]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let at = file.len() as u32;
        file.extend(b"PK\x03\x04");
        file.extend(header(entry));
        file.extend(entry.name.bytes());
        file.extend(&entry.packed);
        directory.extend(record(entry, at));
    }
    finish(file, &directory, entries.len())
}

/// An archive in which many names share one content.
pub(crate) fn zip_of_one(entry: &Entry, names: impl Iterator<Item = String>) -> Vec<u8> {
    let mut file = b"PK\x03\x04".to_vec();
    file.extend(header(entry));
    file.extend(entry.name.bytes());
    file.extend(&entry.packed);
    let records: Vec<_> =
        names.map(|name| record(&Entry { name, packed: Vec::new(), ..*entry }, 0)).collect();
    // Records say how much is packed.
    let mut directory = Vec::new();
    for mut record in records.iter().cloned() {
        record[20..24].copy_from_slice(&(entry.packed.len() as u32).to_le_bytes());
        directory.extend(record);
    }
    finish(file, &directory, records.len())
}

/// What `torch.save` writes: a pickle, and a storage called `0`.
pub(crate) fn checkpoint(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    zip(&[
        Entry::stored("archive/data.pkl", pickle),
        Entry::stored("archive/byteorder", b"little"),
        Entry::stored("archive/data/0", storage),
        Entry::stored("archive/version", b"3\n"),
    ])
}

fn header(entry: &Entry) -> Vec<u8> {
    let mut header = vec![20, 0, 0, 0];
    header.extend(entry.method.to_le_bytes());
    header.extend([0; 8]);
    header.extend((entry.packed.len() as u32).to_le_bytes());
    header.extend(entry.size.to_le_bytes());
    header.extend((entry.name.len() as u16).to_le_bytes());
    header.extend([0; 2]);
    header
}

fn record(entry: &Entry, at: u32) -> Vec<u8> {
    let mut record = b"PK\x01\x02\x14\x00".to_vec();
    record.extend(header(entry));
    record.extend([0; 10]);
    record.extend(at.to_le_bytes());
    record.extend(entry.name.bytes());
    record
}

fn finish(mut file: Vec<u8>, directory: &[u8], entries: usize) -> Vec<u8> {
    let at = file.len() as u32;
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([(entries as u16).to_le_bytes(), (entries as u16).to_le_bytes()].concat());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(at.to_le_bytes());
    file.extend([0; 2]);
    file
}
