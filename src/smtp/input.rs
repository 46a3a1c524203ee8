//! Bytes received and not consumed yet. Consuming moves an offset, so that taking many short
//! lines out of one large block costs no copying. Does no I/O and knows no lines.

/// What the client has sent and nobody has taken yet.
#[derive(Debug, Default, Clone)]
pub struct InputBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl InputBuffer {
    pub fn new() -> InputBuffer {
        InputBuffer::default()
    }

    /// Appends received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.make_room();
        self.bytes.extend_from_slice(bytes);
    }

    /// The vector to append to directly (a read into its spare capacity). Its first bytes may
    /// be consumed already: only append.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        self.make_room();
        &mut self.bytes
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Drops the first `n` bytes, or all where there are fewer.
    pub fn consume(&mut self, n: usize) {
        self.start += n.min(self.len());
        if self.start == self.bytes.len() {
            self.clear();
        }
    }

    /// Takes everything out.
    pub fn take(&mut self) -> Vec<u8> {
        let start = std::mem::take(&mut self.start);
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..start);
        bytes
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// Moves the rest to the front once at least half is consumed: each byte is moved at most
    /// once per byte consumed.
    fn make_room(&mut self) {
        if self.start > 0 && self.start >= self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_in_which_they_went_in() {
        let mut input = InputBuffer::new();
        let mut expected = Vec::new();
        let mut got = Vec::new();
        for n in 0..200u8 {
            let block: Vec<u8> = (0..n).collect();
            input.push(&block);
            expected.extend_from_slice(&block);
            let part = input.len() / 3;
            got.extend_from_slice(&input.as_slice()[..part]);
            input.consume(part);
        }
        got.extend_from_slice(&input.take());
        assert_eq!(got, expected);
        assert!(input.is_empty());
    }

    #[test]
    fn consuming_more_than_there_is_empties_the_buffer() {
        let mut input = InputBuffer::new();
        input.push(b"abc");
        input.consume(10);
        assert_eq!(input.len(), 0);
        input.tail().extend_from_slice(b"de");
        assert_eq!(input.as_slice(), b"de");
    }
}
