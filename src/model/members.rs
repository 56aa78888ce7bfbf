//! The members of a JSON object, without a tree: for the many objects of which little or nothing has to be known.

use super::plain::plain_run;

/// The members of one JSON object as they are spelled, in their order.
///
/// `None` for anything else, and for an object that is better read as a tree: with an escape in a name, a name that
/// stands twice or begins with `$`, or text that is not JSON. What is inside the members is not looked at further than
/// to find their ends: it was checked, or is compared with what was.
pub fn members(bytes: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut scan = Scan { bytes, at: 0 };
    scan.space();
    scan.take(b'{')?;
    scan.space();
    let mut found = Vec::with_capacity(16);
    if scan.peek()? == b'}' {
        scan.at += 1;
    } else {
        loop {
            scan.space();
            let name = scan.name()?;
            scan.space();
            scan.take(b':')?;
            scan.space();
            let from = scan.at;
            scan.value()?;
            found.push((name, &bytes[from..scan.at]));
            scan.space();
            match scan.peek()? {
                b',' => scan.at += 1,
                b'}' => {
                    scan.at += 1;
                    break;
                }
                _ => return None,
            }
        }
    }
    scan.space();
    let sorted = found.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let distinct = || found.iter().enumerate().all(|(i, (name, _))| found[..i].iter().all(|(other, _)| other != name));
    (scan.at == bytes.len() && (sorted || distinct())).then_some(found)
}

struct Scan<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Scan<'b> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn name(&mut self) -> Option<&'b str> {
        let from = self.at + 1;
        self.string()?;
        let name = &self.bytes[from..self.at - 1];
        let plain = !name.contains(&b'\\') && name.first() != Some(&b'$');
        std::str::from_utf8(name).ok().filter(|_| plain)
    }

    fn string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            self.at += plain_run(self.bytes.get(self.at..)?);
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    /// Passes one value.
    fn value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                _ if depth == 0 => {
                    let rest = &self.bytes[self.at..];
                    let end = rest.iter().position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'));
                    let len = end.filter(|len| *len > 0)?;
                    self.at += len;
                }
                _ => self.at += 1,
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str) -> Option<Vec<(&str, &str)>> {
        let found = members(text.as_bytes())?;
        Some(found.into_iter().map(|(name, raw)| (name, std::str::from_utf8(raw).unwrap())).collect())
    }

    #[test]
    fn members_are_cut_out_as_they_are_spelled() {
        let text = r#" { "b" : [1, {"x":"]}"}] , "a":"q\"}","c":-1.50e3 ,"é":null} "#;
        let expected = [("b", r#"[1, {"x":"]}"}]"#), ("a", r#""q\"}""#), ("c", "-1.50e3"), ("é", "null")];
        assert_eq!(spelled(text).unwrap(), expected);
        assert_eq!(spelled("{}").unwrap(), []);
    }

    #[test]
    fn what_is_better_read_as_a_tree_is_left_alone() {
        for text in [
            "",
            "{",
            "[]",
            "1",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1}x",
            "{\"a\":[1}",
            "{\"a\":\"x}",
            "{\"a\":\"x\\",
            "{\"a\":1 2}",
            "{\"a\":1,\"a\":1}",
            "{\"b\":1,\"a\":1,\"b\":2}",
            "{\"\\u0061\":1}",
            "{\"$secret\":\"x\"}",
        ] {
            // `{"a":[1}` is cut like a list that ends with the wrong bracket; nothing is left for the object then.
            assert_eq!(spelled(text), None, "{text}");
        }
    }
}
