//! Certificates of a private authority, of the client, and bad ones, at a server on OpenSSL.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sha2::Digest as _;
use tempfile::TempDir;

use crate::fake::Fake;
use crate::parts::installed;
use crate::sandbox::{Ran, Sandbox};

const API: &str = "\
api: fake
base: /v1
types:
  thing:
    path: /things/{name}
    list: {get: /things, items: /items}
    write: {put: all}
";

/// Two authorities; a server's certificates of the first, good and bad; a client's of each.
const CERTIFICATES: &str = r#"
set -e
exec 2>log
cat >ca.cnf <<CONF
[ca]
default_ca = it
[it]
database = index.txt
serial = serial
rand_serial = yes
new_certs_dir = .
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
CONF
touch index.txt
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
authority() {
    openssl req -x509 $key -days 30 -subj "/CN=$1" -keyout "$1.key" -out "$1.pem" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
}
signed() {
    openssl req $key -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
    printf 'subjectAltName=%s\nextendedKeyUsage=%s\nbasicConstraints=CA:FALSE\n' "$3" "$4" >"$1.ext"
    openssl ca -batch -config ca.cnf -cert "$2.pem" -keyfile "$2.key" -in "$1.csr" -out "$1.pem" -extfile "$1.ext" \
        -startdate "$5" -enddate "$6" -notext
}
authority ours
authority theirs
here=DNS:localhost,IP:127.0.0.1
signed good ours $here serverAuth 20200101000000Z 20990101000000Z
signed expired ours $here serverAuth 20200101000000Z 20210101000000Z
signed early ours $here serverAuth 20980101000000Z 20990101000000Z
signed elsewhere ours DNS:elsewhere.example serverAuth 20200101000000Z 20990101000000Z
signed robot ours DNS:robot clientAuth 20200101000000Z 20990101000000Z
signed stranger theirs DNS:stranger clientAuth 20200101000000Z 20990101000000Z
openssl req -x509 $key -days 30 -subj /CN=root -keyout root.key -out root.pem -addext subjectAltName=$here
openssl req $key -subj /CN=itself -keyout itself.key -out itself.csr
printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\n' $here >itself.ext
openssl x509 -req -in itself.csr -signkey itself.key -days 30 -extfile itself.ext -out itself.pem
"#;

struct Certificates(TempDir);

impl Certificates {
    /// Makes them; nothing if there is nothing to make them or to serve with.
    fn made() -> Option<Self> {
        if !installed("openssl") || !installed("python3") {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let made =
            Command::new("sh").args(["-c", CERTIFICATES]).current_dir(folder.path()).stdin(Stdio::null()).status();
        let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(made.unwrap().success(), "{}", log());
        Some(Self(folder))
    }

    /// `{file: …}` as the operator's file has it.
    fn file(&self, name: &str) -> String {
        format!("{{file: {}}}", self.path(name))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn pair(&self, certificate: &str, key: &str) -> String {
        let (certificate, key) = (self.file(&format!("{certificate}.pem")), self.file(&format!("{key}.key")));
        format!(", client-certificate: {{certificate: {certificate}, key: {key}}}")
    }
}

/// TLS in front of a fake server.
struct Front {
    process: Child,
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    behind: Fake,
}

impl Front {
    /// Serves with this certificate; `wants` names the authority of the clients that it lets in.
    fn of(certificates: &Certificates, shown: &str, wants: Option<&str>) -> Self {
        Self::up_to(certificates, shown, wants, None)
    }

    /// The same with no newer TLS than this.
    fn up_to(certificates: &Certificates, shown: &str, wants: Option<&str>, newest: Option<&str>) -> Self {
        let behind = Fake::honest();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/boundary/front.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(behind.port.to_string());
        command.args(["pem", "key"].map(|end| certificates.path(&format!("{shown}.{end}"))));
        command.args(wants.map(|name| certificates.path(&format!("{name}.pem"))));
        command.args(newest);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next().expect("a port").unwrap().parse().unwrap();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let said = Arc::clone(&heard);
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| said.lock().unwrap().push(line)));
        Self { process, port, heard, behind }
    }

    /// A project of one thing behind this server; `more` is said of the credential.
    fn project(&self, host: &str, more: &str) -> Sandbox {
        let url = format!("https://{host}:{}", self.port);
        let sandbox = Sandbox::new();
        let file = format!(
            "apiVersion: ctl/v1\nkind: Project\nmetadata: {{name: shop}}\nmanifests: [manifests/]\ntargets:\n  shop: {{api: fake, credentials: shop, url: \"{url}\"}}\n"
        );
        sandbox.write("ctl.yaml", &file).write("apis/fake.yaml", API);
        let thing = "apiVersion: fake\nkind: thing\nmetadata: {name: a}\nspec: {size: 1}\n";
        sandbox.write("manifests/a.yaml", thing).commit("one thing");
        let sum: String = sha2::Sha256::digest(API.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        let text = format!("credentials: {{shop: {{hosts: [\"{url}\"], api: \"sha256:{sum}\"{more}}}}}\n");
        sandbox.env("CTL_CREDENTIALS_YAML", text)
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// A plan and an apply that get nowhere: this exit code, these words, nothing sent.
    #[track_caller]
    fn refuses(&self, host: &str, more: &str, code: i32, words: &[&str]) {
        for args in [["plan", "-v"], ["apply", "--yes"]] {
            let Ran { stdout, stderr, code: ended } = self.project(host, more).run(args);
            let said = format!("{stdout}{stderr}");
            assert_eq!(ended, Some(code), "{said}");
            for word in words {
                assert!(said.contains(word), "no {word:?} in {said}\n{:?}", self.heard());
            }
            assert!(!said.contains("PRIVATE KEY"), "{said}");
            assert!(self.behind.asked().is_empty(), "{:?}", self.behind.asked());
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn a_private_authority_and_a_client_certificate_are_all_it_takes() {
    let Some(certificates) = Certificates::made() else { return };
    let ca = format!(", ca: {}", certificates.file("ours.pem"));
    let itself = format!(", ca: {}", certificates.file("itself.pem"));
    for (shown, host, wants, more, client) in [
        ("itself", "localhost", None, itself, "client nobody"),
        ("good", "127.0.0.1", None, ca.clone(), "client nobody"),
        ("good", "localhost", None, format!("{ca}{}", certificates.pair("robot", "robot")), "client nobody"),
        ("good", "localhost", Some("ours"), format!("{ca}{}", certificates.pair("robot", "robot")), "client robot"),
    ] {
        let front = Front::of(&certificates, shown, wants);
        let sandbox = front.project(host, &more);
        sandbox.run(["apply", "--yes"]).exits(0).says("1 created");
        sandbox.run(["plan", "--detailed-exitcode"]).exits(0);
        assert_eq!(front.behind.names(), ["a"]);
        let heard = front.heard();
        assert!(!heard.is_empty() && heard.iter().all(|line| line == client), "{heard:?}");
    }
}

#[test]
fn a_server_that_cannot_prove_who_it_is_hears_nothing_and_the_answer_says_why() {
    let Some(certificates) = Certificates::made() else { return };
    let ca = |name: &str| format!(", ca: {}", certificates.file(&format!("{name}.pem")));
    let certificates = &certificates;
    let unknown = "is not signed by an authority that is trusted here";
    let cases = [
        ("good", String::new(), [unknown, "`ca`"]),
        ("good", ca("theirs"), [unknown, "`ca`"]),
        ("itself", ca("ours"), [unknown, "`ca`"]),
        ("root", ca("root"), ["is one of an authority and not of a server", "CA:FALSE"]),
        ("expired", ca("ours"), ["the server's certificate expired on 2021-01-01T00:00:00Z", "/v1/things"]),
        ("early", ca("ours"), ["is not valid before 2098-01-01T00:00:00Z", "clock"]),
        ("elsewhere", ca("ours"), ["is for elsewhere.example and not for localhost", "/v1/things"]),
    ];
    std::thread::scope(|scope| {
        for (shown, more, words) in cases {
            scope.spawn(move || {
                let front = Front::of(certificates, shown, None);
                front.refuses("localhost", &more, 8, &words);
                // No second try: nobody mends a certificate within seconds.
                let began = Instant::now();
                let ran = front.project("localhost", &more).run(["apply", "--yes"]).exits(8);
                let took = began.elapsed();
                assert!(took < Duration::from_secs(1), "{took:?}: {}{}", ran.stdout, ran.stderr);
            });
        }
    });
}

#[test]
fn a_server_that_does_not_take_our_certificate_is_told_apart_from_one_that_is_away() {
    let Some(certificates) = Certificates::made() else { return };
    let ca = format!(", ca: {}", certificates.file("ours.pem"));
    let stranger = format!("{ca}{}", certificates.pair("stranger", "stranger"));
    // With TLS 1.3 we are done with the handshake before the server looks at our certificate: whether its word or the end
    // of the connection is seen first is chance. With 1.2 its word always is.
    let front = Front::up_to(&certificates, "good", Some("ours"), Some("1.2"));
    front.refuses("localhost", &ca, 8, &["received fatal alert"]);
    let words = ["does not accept our client certificate", "does not know the authority"];
    front.refuses("localhost", &stranger, 8, &words);
    let front = Front::of(&certificates, "good", Some("ours"));
    front.refuses("localhost", &ca, 8, &["GET https://localhost"]);
}

#[test]
fn a_certificate_that_is_none_is_an_error_before_anybody_is_called() {
    let Some(certificates) = Certificates::made() else { return };
    let front = Front::of(&certificates, "good", None);
    let ca = format!(", ca: {}", certificates.file("ours.pem"));
    for (more, words) in [
        (", ca: {text: nonsense}".to_owned(), "certificate"),
        (format!(", ca: {}", certificates.file("robot.key")), "certificate"),
        (
            format!("{ca}{}", certificates.pair("robot", "stranger")),
            "the client certificate and its key do not belong together",
        ),
        (
            format!(
                "{ca}, client-certificate: {{certificate: {}, key: {{text: nonsense}}}}",
                certificates.file("robot.pem")
            ),
            "client certificate or its key",
        ),
    ] {
        front.refuses("localhost", &more, 4, &[words]);
        assert!(front.heard().is_empty(), "{:?}", front.heard());
    }
}
