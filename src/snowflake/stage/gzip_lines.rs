//! Files of JSON with one value per line, compressed while they are written.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::super::blocking;
use crate::{Error, Result};

/// The best trade of size and speed. Issues of GitHub shrink 5.4, 6.8, 7.2 and 7.9 times at levels 1, 2, 3 and 6; one core compresses 416, 305,
/// 253 and 180 MB of them per second.
const LEVEL: Compression = Compression::new(2);

/// How much is compressed at once on another thread, in some milliseconds.
const BLOCK: usize = 1 << 20;

/// The size of a piece of compressed content.
const PIECE: usize = 512 * 1024;

/// Writes one file of lines, gzip-compressed, into memory.
///
/// It keeps the compressed content, in chunks that are never copied together, and pending lines of up to a mebibyte, or the last
/// line if it is longer.
///
/// ```
/// use snowfeed::internals::snowflake::stage::GzipLines;
///
/// let mut file = GzipLines::new();
/// file.push(&serde_json::json!({ "k": "1", "v": 7 }))?;
/// assert_eq!(file.lines(), 1);
/// let pieces: Vec<bytes::Bytes> = file.finish()?;
/// # assert_eq!(pieces.len(), 1);
/// # Ok::<(), snowfeed::Error>(())
/// ```
#[derive(Debug)]
pub struct GzipLines {
    /// `None` while it works on another thread, and permanently if that future was dropped.
    encoder: Option<GzEncoder<Chunks>>,
    /// Pending lines.
    block: Vec<u8>,
    size: u64,
    lines: u64,
}

impl GzipLines {
    /// An empty file.
    #[allow(clippy::new_without_default, reason = "a file is begun, not defaulted")]
    pub fn new() -> Self {
        Self { encoder: Some(GzEncoder::new(Chunks::default(), LEVEL)), block: Vec::new(), size: 0, lines: 0 }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when the value cannot be serialized. The file is as it was before.
    pub fn push(&mut self, value: &(impl Serialize + ?Sized)) -> Result<()> {
        self.write(value, None)?;
        let mut encoder = self.encoder.take().ok_or_else(abandoned)?;
        encoder.write_all(&self.block).map_err(broken)?;
        self.block.clear();
        self.keep(encoder);
        Ok(())
    }

    /// Adds an object as a line, with a long text as its last member, and compresses on another thread. In async code,
    /// [`push`](Self::push) would block the executor.
    ///
    /// # Cancellation
    /// A file whose future was dropped can no longer be used.
    ///
    /// # Errors
    /// As for [`push`](Self::push); [`Internal`](crate::ErrorKind::Internal) also after a future was dropped.
    pub async fn add(&mut self, object: &(impl Serialize + ?Sized + Sync), text: Option<(&str, &str)>) -> Result<()> {
        self.write(object, text)?;
        if self.block.len() < BLOCK {
            return Ok(());
        }
        let mut encoder = self.encoder.take().ok_or_else(abandoned)?;
        let mut block = std::mem::take(&mut self.block);
        let compress = move || {
            encoder.write_all(&block).map_err(broken)?;
            block.clear();
            Ok((encoder, block))
        };
        let (encoder, block) = blocking::run(compress).await?;
        self.block = block;
        self.keep(encoder);
        Ok(())
    }

    /// Writes a line into the block: a value, or an object and a member of it by name.
    fn write(&mut self, value: &(impl Serialize + ?Sized), member: Option<(&str, &str)>) -> Result<()> {
        let begin = self.block.len();
        // A serializer writes a few bytes at a time, and the encoder is more than twice as fast with whole lines. It also never gets
        // half a value.
        if let Err(error) = serde_json::to_writer(&mut self.block, value) {
            self.block.truncate(begin);
            return Err(Error::internal("a row cannot be written as JSON").with_source(error));
        }
        // Raw values keep their formatting. Line breaks are white space there: JSON escapes them in texts. Most values have none, which is
        // found out faster than by looking at each byte.
        let line = &mut self.block[begin..];
        for broken in [b'\n', b'\r'] {
            if line.contains(&broken) {
                line.iter_mut().filter(|byte| **byte == broken).for_each(|byte| *byte = b' ');
            }
        }
        if let Some((name, text)) = member {
            append_member(&mut self.block, name, text);
        }
        self.block.push(b'\n');
        self.lines += 1;
        Ok(())
    }

    fn keep(&mut self, encoder: GzEncoder<Chunks>) {
        self.size = encoder.get_ref().size;
        self.encoder = Some(encoder);
    }

    /// The number of lines.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The compressed size so far, in bytes. It omits up to some tens of kilobytes in the compressor, and after
    /// [`add`](Self::add) pending lines of up to a mebibyte.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Finishes the file and returns its content.
    ///
    /// # Errors
    /// [`Internal`](crate::ErrorKind::Internal) when the compressor fails.
    pub fn finish(self) -> Result<Vec<Bytes>> {
        let mut encoder = self.encoder.ok_or_else(abandoned)?;
        encoder.write_all(&self.block).map_err(broken)?;
        Ok(encoder.finish().map_err(broken)?.into_pieces())
    }
}

/// Appends a text to the object at the end of a buffer. Most of a record is such a text, and this escapes it several times as fast as a
/// serializer that looks at each byte.
fn append_member(object: &mut Vec<u8>, name: &str, text: &str) {
    object.pop();
    if object.last() != Some(&b'{') {
        object.push(b',');
    }
    json_escape_simd::escape_into(name, object);
    object.push(b':');
    json_escape_simd::escape_into(text, object);
    object.push(b'}');
}

fn abandoned() -> Error {
    Error::internal("a file was used after the future of one of its lines was dropped")
}

fn broken(error: io::Error) -> Error {
    Error::internal("rows cannot be compressed").with_source(error)
}

/// A buffer of chunks of the same size.
#[derive(Debug, Default)]
struct Chunks {
    full: Vec<Bytes>,
    last: BytesMut,
    size: u64,
}

impl Chunks {
    fn into_pieces(mut self) -> Vec<Bytes> {
        if !self.last.is_empty() {
            self.full.push(self.last.freeze());
        }
        self.full
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.len() == PIECE {
            self.full.push(std::mem::take(&mut self.last).freeze());
        }
        if self.last.capacity() == 0 {
            self.last.reserve(PIECE);
        }
        let taken = bytes.len().min(PIECE - self.last.len());
        self.last.extend_from_slice(&bytes[..taken]);
        self.size += u64::try_from(taken).map_err(io::Error::other)?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;

    fn unpacked(pieces: &[Bytes]) -> String {
        let mut text = String::new();
        MultiGzDecoder::new(pieces.concat().as_slice()).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn each_value_is_one_line_even_if_it_was_sent_in_several() {
        let mut file = GzipLines::new();
        let raw = RawValue::from_string("{\r\n  \"text\": \"one\\ntwo\"\n}".to_owned()).unwrap();
        file.push(&json!({ "n": 1.5 })).unwrap();
        file.push(&raw).unwrap();
        assert_eq!(file.lines(), 2);
        let text = unpacked(&file.finish().unwrap());
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, [json!({ "n": 1.5 }), json!({ "text": "one\ntwo" })]);
        assert!(text.ends_with('\n'));
    }

    proptest::proptest! {
        #[test]
        fn a_member_of_any_text_comes_back(name in ".{0,3}", text: String, is_alone: bool) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let object = if is_alone { serde_json::json!({}) } else { serde_json::json!({ "other member": 1 }) };
            let mut expected = object.clone();
            expected[&name] = text.as_str().into();
            let mut file = GzipLines::new();
            runtime.block_on(file.add(&object, Some((&name, &text)))).unwrap();
            let written = unpacked(&file.finish().unwrap());
            proptest::prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), expected);
            proptest::prop_assert_eq!(written.lines().count(), 1);
        }
    }

    #[test]
    fn a_value_that_cannot_be_written_leaves_no_half_line() {
        /// Fails after its first field.
        struct Failing;
        impl Serialize for Failing {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::{Error, SerializeMap};
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("a", &1)?;
                Err(S::Error::custom("no more"))
            }
        }
        let mut file = GzipLines::new();
        assert_eq!(file.push(&Failing).unwrap_err().kind(), crate::ErrorKind::Internal);
        file.push(&json!({})).unwrap();
        assert_eq!(file.lines(), 1);
        assert_eq!(unpacked(&file.finish().unwrap()), "{}\n");
    }

    #[test]
    fn content_is_returned_in_pieces_with_its_size() {
        let mut file = GzipLines::new();
        let mut text = String::new();
        let mut state = 1_u64;
        while file.size() < 3 * PIECE as u64 {
            // Noise, which does not compress: Marsaglia's generator.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.push(&state).unwrap();
            text.push_str(&format!("{state}\n"));
        }
        let size = file.size();
        let pieces = file.finish().unwrap();
        let all: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        assert!((size..size + 100_000).contains(&all), "{size} {all}");
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE) && pieces.len() <= 5);
        assert!(unpacked(&pieces) == text);
    }

    #[tokio::test]
    async fn lines_compressed_in_the_background_keep_their_order() {
        let mut file = GzipLines::new();
        let mut text = String::new();
        for number in 0..300 {
            let line = json!({ "n": number, "text": "x".repeat(10_000) });
            text.push_str(&format!("{line}\n"));
            if number % 7 == 0 { file.push(&line).unwrap() } else { file.add(&line, None).await.unwrap() }
        }
        assert_eq!(file.lines(), 300);
        assert!(unpacked(&file.finish().unwrap()) == text);
    }

    #[test]
    fn a_file_whose_line_was_abandoned_is_not_used() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            // The only thread for such work is busy, so that the line waits.
            let (release, released) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || released.recv());
            let long = "x".repeat(2 * BLOCK);
            let mut file = GzipLines::new();
            assert!(futures::poll!(Box::pin(file.add(&long, None))).is_pending(), "it works on another thread");
            release.send(()).unwrap();
            busy.await.unwrap().unwrap();
            assert_eq!(file.add(&long, None).await.unwrap_err().kind(), crate::ErrorKind::Internal);
            assert!(file.finish().is_err());
        });
    }

    #[tokio::test]
    async fn lines_are_compressed_without_blocking_other_tasks() {
        // A single thread runs everything here: compression on it would block the other task.
        let line = (0_u32..400_000).map(|number| number.to_string()).collect::<String>();
        let other = tokio::spawn(async {
            let mut turns = 0;
            loop {
                tokio::task::yield_now().await;
                turns += 1;
                if turns == 100 {
                    return;
                }
            }
        });
        let mut file = GzipLines::new();
        for _ in 0..20 {
            file.add(&line, None).await.unwrap();
        }
        assert!(other.is_finished());
        assert!(!file.finish().unwrap().is_empty());
    }
}
