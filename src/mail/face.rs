//! How a plugin wrote a value of which the host keeps plain bytes only: a character string, a
//! reference, a number of another form. The plugin gets back what it wrote, for as long as the
//! host has not put another value in its place.

use std::cell::RefCell;

use super::notes::Note;

/// The fields that plugins have written in a form of their own. A field is known by its name.
#[derive(Debug, Default)]
pub struct Faces(RefCell<Vec<Face>>);

#[derive(Debug)]
struct Face {
    field: &'static str,
    bytes: Option<Vec<u8>>,
    written: Note,
}

impl Faces {
    /// What was written to the field; `bytes` is what the host keeps of it.
    pub fn set(&self, field: &'static str, bytes: Option<&[u8]>, written: Note) {
        let mut faces = self.0.take();
        let old: Vec<Face> = faces.extract_if(.., |face| face.field == field).collect();
        faces.push(Face {
            field,
            bytes: bytes.map(<[u8]>::to_vec),
            written,
        });
        self.0.replace(faces);
        drop(old);
    }

    /// Forgets what was written to the field: its bytes are all there is to it.
    pub fn clear(&self, field: &'static str) {
        if self.0.borrow().is_empty() {
            return;
        }
        let mut faces = self.0.take();
        let old: Vec<Face> = faces.extract_if(.., |face| face.field == field).collect();
        self.0.replace(faces);
        drop(old);
    }

    /// What was written, if the field still holds these bytes.
    pub fn get(&self, field: &'static str, bytes: Option<&[u8]>) -> Option<Note> {
        let faces = self.0.borrow();
        let face = faces.iter().find(|face| face.field == field)?;
        (face.bytes.as_deref() == bytes).then(|| face.written.share())
    }

    /// Changes what is kept here for what is kept there.
    pub fn swap(&self, other: &Faces) {
        self.0.swap(&other.0);
    }

    /// Other faces of these values.
    pub fn share(&self) -> Faces {
        let faces = self.0.borrow();
        let faces = faces.iter().map(|face| Face {
            field: face.field,
            bytes: face.bytes.clone(),
            written: face.written.share(),
        });
        Faces(RefCell::new(faces.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_given_back_until_the_host_writes() {
        let faces = Faces::default();
        faces.set(
            "user",
            Some(b"\xe2\x98\xba"),
            Note::Text("\u{263a}".to_owned()),
        );
        let shared = faces.share();
        for faces in [&faces, &shared] {
            let written = faces.get("user", Some(b"\xe2\x98\xba"));
            assert!(matches!(written, Some(Note::Text(text)) if text == "\u{263a}"));
            assert!(faces.get("user", Some(b"other")).is_none());
            assert!(faces.get("host", Some(b"\xe2\x98\xba")).is_none());
        }
        faces.clear("user");
        assert!(faces.get("user", Some(b"\xe2\x98\xba")).is_none());
    }
}
