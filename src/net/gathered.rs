//! The body of an answer as it is gathered: unzipped where it is zipped, and never more than it may be.

use std::io::Write as _;

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use super::NetError;

/// A body that comes piece by piece.
pub(super) struct Gathered {
    into: Into,
    limit: usize,
}

enum Into {
    Plain(BytesMut),
    /// With whether anything came: an answer without a body may name an encoding.
    Zipped(Box<MultiGzDecoder<Bounded>>, bool),
}

impl Gathered {
    /// For an answer with these headers; what they say of the body as it travels is taken out. At most `limit` bytes are
    /// taken, counted after decompression, so that a bomb is noticed while it is small.
    pub(super) fn new(headers: &mut HeaderMap, limit: usize) -> Self {
        if !is_zipped(headers) {
            return Self { into: Into::Plain(BytesMut::new()), limit };
        }
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        let bounded = Bounded { bytes: Vec::new(), limit, is_full: false };
        Self { into: Into::Zipped(Box::new(MultiGzDecoder::new(bounded)), false), limit }
    }

    /// So many bytes are announced.
    pub(super) fn announced(&mut self, bytes: usize) -> Result<(), NetError> {
        if bytes > self.limit {
            return Err(NetError::TooLarge { limit: self.limit });
        }
        if let Into::Plain(out) = &mut self.into {
            out.reserve(bytes);
        }
        Ok(())
    }

    /// The next piece.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        match &mut self.into {
            Into::Plain(out) if out.len() + bytes.len() > self.limit => Err(NetError::TooLarge { limit: self.limit }),
            Into::Plain(out) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Into::Zipped(decoder, began) => {
                *began = *began || !bytes.is_empty();
                decoder.write_all(bytes).map_err(|e| spoilt(decoder.get_ref(), &e))
            }
        }
    }

    /// All of it, once the last piece was taken.
    pub(super) fn finish(self) -> Result<Bytes, NetError> {
        match self.into {
            Into::Plain(out) => Ok(out.freeze()),
            Into::Zipped(_, false) => Ok(Bytes::new()),
            Into::Zipped(mut decoder, true) => {
                decoder.try_finish().map_err(|e| spoilt(decoder.get_ref(), &e))?;
                Ok(Bytes::from(std::mem::take(&mut decoder.get_mut().bytes)))
            }
        }
    }
}

/// Takes as many bytes as it may.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            self.is_full = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn spoilt(out: &Bounded, error: &std::io::Error) -> NetError {
    match out.is_full {
        true => NetError::TooLarge { limit: out.limit },
        false => broke_off(format!("what is in it is no gzip: {error}")),
    }
}

/// An answer of which only a part can be read.
pub(super) fn broke_off(why: String) -> NetError {
    NetError::Unanswered { why: format!("the answer broke off: {why}") }
}

fn is_zipped(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_some_and(|coding| {
        let coding = coding.as_bytes().trim_ascii();
        coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip")
    })
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;

    use super::*;

    fn zipped(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn gather(coding: Option<&'static str>, body: &[u8], limit: usize) -> Result<Bytes, NetError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        let mut gathered = Gathered::new(&mut headers, limit);
        assert_eq!(headers.is_empty(), coding.is_some());
        body.chunks(7).try_for_each(|chunk| gathered.push(chunk))?;
        gathered.finish()
    }

    #[test]
    fn an_answer_may_be_zipped_and_its_size_counts_unzipped() {
        let body = vec![b'7'; 100_000];
        assert_eq!(gather(Some("gzip"), &zipped(&body), body.len()).unwrap().as_ref(), &body[..]);
        let limit = body.len() - 1;
        assert_eq!(gather(Some("gzip"), &zipped(&body), limit), Err(NetError::TooLarge { limit }));
        let twice = [zipped(b"[1,"), zipped(b"2]")].concat();
        assert_eq!(
            gather(Some("x-gzip"), &twice, 99).unwrap().as_ref(),
            b"[1,2]",
            "of several members none is left out"
        );
        assert_eq!(gather(Some("GZIP"), b"", 99).unwrap().as_ref(), b"", "there may be no body");
    }

    #[test]
    fn what_is_no_gzip_or_not_all_of_it_is_no_answer() {
        let half = zipped(b"[1,2,3]");
        for body in [&b"[1,2,3]"[..], &half[..half.len() - 9], &half[..5]] {
            let found = gather(Some("gzip"), body, 99);
            assert!(matches!(&found, Err(NetError::Unanswered { why }) if why.contains("no gzip")), "{found:?}");
        }
    }

    #[test]
    fn what_is_not_zipped_is_taken_as_it_is_up_to_the_limit() {
        assert_eq!(gather(None, b"[1,2,3,4]", 9).unwrap().as_ref(), b"[1,2,3,4]");
        assert_eq!(gather(None, b"[1,2,3,4]", 8), Err(NetError::TooLarge { limit: 8 }));
        let mut gathered = Gathered::new(&mut HeaderMap::new(), 8);
        assert_eq!(gathered.announced(9), Err(NetError::TooLarge { limit: 8 }), "before a byte of it came");
    }
}
