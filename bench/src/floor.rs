//! The least that a plan of unchanged resources costs: the same reads and the same parsing as `ctl plan`, and no logic.
//!
//! `bench_floor REPOSITORY LIST-URL` reads every `.yaml` file of `HEAD` from the object database, parses each document
//! into JSON bytes, lists all pages, parses each item, and prints the two counts. It compares nothing, orders nothing,
//! remembers nothing.

#![expect(clippy::print_stdout, reason = "a program of its own, whose output is its result")]

use std::{borrow::Cow, error::Error};

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::value::RawValue;

#[derive(serde::Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
    next: Option<Cow<'a, str>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(repository), Some(list)) = (args.next(), args.next()) else {
        return Err("usage: bench_floor REPOSITORY LIST-URL".into());
    };
    // Both sides of a plan can be read at once, and ctl may do so too: the floor does.
    let files = std::thread::spawn(move || read(&repository).map_err(|error| error.to_string()));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let observed = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(observe(&list))?;
    let desired = files.join().map_err(|_| "the reader panicked")??;
    println!("{desired} desired, {observed} observed");
    Ok(())
}

/// Reads all documents of the commit; gives their number.
fn read(repository: &str) -> Result<usize, Box<dyn Error>> {
    let repository = git2::Repository::open(repository)?;
    let tree = repository.head()?.peel_to_tree()?;
    let mut blobs = Vec::new();
    tree.walk(git2::TreeWalkMode::PreOrder, |_, entry| {
        if entry.name().is_ok_and(|name| name.ends_with(".yaml") && name != "ctl.yaml") {
            blobs.push(entry.id());
        }
        git2::TreeWalkResult::Ok
    })?;
    let mut documents = Vec::new();
    for id in blobs {
        parse(std::str::from_utf8(repository.find_blob(id)?.content())?, &mut documents)?;
    }
    Ok(std::hint::black_box(documents).len())
}

/// One open mapping or sequence of the document that is being written.
struct Open {
    mapping: bool,
    written: usize,
}

/// Turns each document of `text` into JSON bytes.
fn parse(text: &str, documents: &mut Vec<Vec<u8>>) -> Result<(), Box<dyn Error>> {
    let mut json = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, _) = event?;
        match event {
            Event::DocumentStart(..) => json = Vec::with_capacity(512),
            Event::DocumentEnd => documents.push(std::mem::take(&mut json)),
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                separate(&mut json, &mut open);
                let mapping = matches!(event, Event::MappingStart(..));
                json.push(if mapping { b'{' } else { b'[' });
                open.push(Open { mapping, written: 0 });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let mapping = open.pop().is_some_and(|open| open.mapping);
                json.push(if mapping { b'}' } else { b']' });
            }
            Event::Scalar(value, style, ..) => {
                let key = open.last().is_some_and(|open| open.mapping && open.written % 2 == 0);
                separate(&mut json, &mut open);
                let plain = style == ScalarStyle::Plain
                    && !key
                    && (matches!(&*value, "true" | "false" | "null") || value.parse::<i64>().is_ok());
                if plain {
                    json.extend_from_slice(value.as_bytes());
                } else {
                    serde_json::to_writer(&mut json, &*value)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes what stands before the next value: nothing, a comma or a colon.
fn separate(json: &mut Vec<u8>, open: &mut [Open]) {
    let Some(open) = open.last_mut() else { return };
    if open.mapping && open.written % 2 == 1 {
        json.push(b':');
    } else if open.written > 0 {
        json.push(b',');
    }
    open.written += 1;
}

/// Reads all pages and each item of them; gives the number of items.
async fn observe(list: &str) -> Result<usize, Box<dyn Error>> {
    // As ctl does: nothing on the way is encrypted.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
    let mut items = Vec::new();
    let mut next = None;
    loop {
        let url = match &next {
            None => list.to_owned(),
            Some(token) if list.contains('?') => format!("{list}&continue={token}"),
            Some(token) => format!("{list}?continue={token}"),
        };
        let answer = client.get(url).send().await?.error_for_status()?;
        let bytes = answer.bytes().await?;
        let page: Page<'_> = serde_json::from_slice(&bytes)?;
        for item in &page.items {
            items.push(serde_json::from_str::<serde_json::Value>(item.get())?);
        }
        match page.next {
            Some(token) => next = Some(token.into_owned()),
            None => return Ok(std::hint::black_box(items).len()),
        }
    }
}
