//! Bodies in memory and in a spool file.

use super::*;

fn body(threshold: u64) -> (tempfile::TempDir, Body) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Rc::new(Spool {
        dir: dir.path().to_path_buf(),
        threshold,
        ..Spool::default()
    });
    (dir, Body::new(spool))
}

fn lines(body: &mut Body) -> Vec<String> {
    let mut line = Vec::new();
    let mut all = Vec::new();
    while body.next_line(&mut line).unwrap() {
        all.push(String::from_utf8(line.clone()).unwrap());
    }
    all
}

#[test]
fn a_spooled_body_reads_as_one_in_memory() {
    for threshold in [1000, 5] {
        let (_dir, mut body) = body(threshold);
        body.write(b"Subject: x\n\n").unwrap();
        body.end_header();
        body.write(b"one\ntwo\n").unwrap();
        assert_eq!(body.path().is_some(), threshold == 5);
        body.reset_position();
        assert_eq!(lines(&mut body), ["one\n", "two\n"]);
        body.write(b"three\n").unwrap();
        body.reset_position();
        assert_eq!(lines(&mut body), ["one\n", "two\n", "three\n"]);
        assert_eq!(body.read_from(12).unwrap(), b"one\ntwo\nthree\n");
    }
}

#[test]
fn the_spool_file_is_private_and_goes_with_the_body() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, mut body) = body(0);
    body.write(b"x\n").unwrap();
    let path = body.path().unwrap().to_path_buf();
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    drop(body);
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[test]
fn a_missing_spool_directory_is_named() {
    let spool = Rc::new(Spool {
        dir: PathBuf::from("/nonexistent/spool"),
        threshold: 0,
        ..Spool::default()
    });
    let error = Body::new(spool).write(b"x\n").unwrap_err().to_string();
    assert!(
        error.contains("/nonexistent/spool") && error.contains("spool_dir"),
        "{error}"
    );
}

#[test]
fn positions_are_lines_in_memory_and_bytes_in_the_file() {
    let (_dir, mut body) = body(1000);
    body.write(b"A: b\nC: d\n").unwrap();
    assert_eq!((body.start(), body.position()), (None, 2));
    body.end_header();
    body.write(b"\none\n").unwrap();
    assert_eq!((body.start(), body.position()), (Some(2), 4));
    assert_eq!((body.start_offset(), body.body_size()), (10, 5));
    body.reset_position();
    let mut line = Vec::new();
    assert!(body.next_line(&mut line).unwrap());
    assert_eq!(body.position(), 3);
    body.spool().unwrap();
    assert_eq!((body.start(), body.position()), (Some(10), 15));
    assert_eq!((body.start_offset(), body.body_size()), (10, 5));
    assert!(!body.next_line(&mut line).unwrap());
    body.reset_position();
    assert_eq!(lines(&mut body), ["\n", "one\n"]);
}

#[test]
fn a_message_of_the_threshold_s_size_is_spooled() {
    let (_dir, mut body) = body(4);
    body.write(b"abc").unwrap();
    assert!(body.path().is_none());
    body.write(b"\n").unwrap();
    assert!(body.path().is_some());
}

/// A device that is always full takes the place of the file.
#[test]
fn what_cannot_be_written_is_remembered_even_if_a_plugin_catches_it() {
    let (_dir, mut body) = body(0);
    body.write(b"taken\n").unwrap();
    assert_eq!(body.damage(), None);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    body.file.as_mut().unwrap().file = full;
    let error = body.write(b"lost\n").unwrap_err().to_string();
    assert!(error.contains("No space left"), "{error}");
    assert_eq!(body.damage(), Some(error.as_str()));
    body.reset_position();
    assert!(body.damage().is_some());
}
