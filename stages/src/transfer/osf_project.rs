//! Projects on the Open Science Framework: finds files in a project's storage and downloads them.
//!
//! A project's storage is a tree of folders; a folder is listed in pages, slowly, so listings are cached for the life
//! of the process and names are filtered by the server. A listing gives each file's SHA-256, which is compared after the
//! download: the pin comes from the archive itself. The service answers 429 and 5xx now and then; both are retried.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pipe_contract::{Context, Failure, Probe, Task};
use serde::Deserialize;

use super::checksum::Sha256;
use super::http::{self, GetRequest};
use super::url::fetch_url;

const API: &str = "https://api.osf.io/v2";
/// Another address of the API, for mirrors and tests.
const API_VARIABLE: &str = "PIPE_OSF_API";
/// Where the addresses of files begin that do not change, in listings and pipelines.
const SITE: &str = "https://osf.io";
/// Another address instead of [`SITE`], for mirrors and tests.
const SITE_VARIABLE: &str = "PIPE_OSF_SITE";
/// A listing of more pages than this is a loop of the server's.
const MOST_PAGES: usize = 1000;

/// A project's storage.
pub struct Project {
    id: String,
    api: String,
    agent: ureq::Agent,
}

/// A file or folder in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsfEntry {
    name: String,
    is_folder: bool,
    /// In the storage, such as `/5e95...` and with a final slash for folders.
    path: String,
    download: Option<String>,
    /// The SHA-256 that the file must have.
    pub sha256: Option<String>,
}

impl Project {
    /// The storage of a public project.
    ///
    /// # Errors
    /// Input: a malformed id. Environment: the certificates cannot be read.
    pub fn open(id: &str) -> Result<Self, Failure> {
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(Failure::input(format!("`{id}` is not a project id"))
                .hint("it is the last part of the project's address"));
        }
        let api = std::env::var(API_VARIABLE).unwrap_or_else(|_| API.to_owned());
        Self::at(id, api.trim_end_matches('/'))
    }

    /// A project's storage behind an address of the API.
    ///
    /// # Errors
    /// Environment: the certificates cannot be read.
    pub fn at(id: &str, api: &str) -> Result<Self, Failure> {
        Ok(Self { id: id.to_owned(), api: api.to_owned(), agent: http::agent()? })
    }

    /// The project's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A key that is unique also across addresses of the API.
    pub fn key(&self) -> String {
        format!("{}/{}", self.api, self.id)
    }

    /// The entry of a file's path; none if it or one of its folders is not there.
    ///
    /// # Errors
    /// Input: no such public project. Environment: the network.
    pub fn find(&self, path: &str, context: &dyn Context) -> Result<Option<OsfEntry>, Failure> {
        let mut folder = "/".to_owned();
        let (folders, name) = path.rsplit_once('/').map_or((None, path), |(folders, name)| (Some(folders), name));
        for part in folders.into_iter().flat_map(|folders| folders.split('/')) {
            let listing = self.list(&folder, Some((part, true)), context)?;
            match listing.iter().find(|entry| entry.is_folder && entry.name == part) {
                Some(entry) => folder = entry.path.clone(),
                None => return Ok(None),
            }
        }
        let listing = self.list(&folder, Some((name, false)), context)?;
        Ok(listing.iter().find(|entry| !entry.is_folder && entry.name == name).cloned())
    }

    /// All files below a folder (`a/b`; empty for everything), by their paths in the storage. One question a folder and 100 files.
    ///
    /// # Errors
    /// Input: no such public project or folder. Environment: the network.
    pub fn files_below(&self, folder: &str, context: &dyn Context) -> Result<BTreeMap<String, OsfEntry>, Failure> {
        let mut at = "/".to_owned();
        let parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in &parts {
            let listing = self.list(&at, Some((part, true)), context)?;
            let below = listing.iter().find(|entry| entry.is_folder && entry.name == *part);
            let missing = || {
                Failure::input(format!("the project `{}` has no folder `{}`", self.id, parts.join("/")))
                    .hint("check the project's page; names are case-sensitive, folders are written `a/b`")
            };
            at.clone_from(&below.ok_or_else(missing)?.path);
        }
        let above = parts.iter().fold(String::new(), |above, part| format!("{above}{part}/"));
        let mut open = vec![(at, above)];
        let mut files = BTreeMap::new();
        let mut listed = 0;
        while let Some((at, above)) = open.pop() {
            listed += 1;
            if listed > MOST_PAGES {
                return Err(Failure::environment(format!("project `{}` has more than {MOST_PAGES} folders", self.id)));
            }
            for entry in self.list(&at, None, context)?.iter() {
                let path = format!("{above}{}", entry.name);
                if entry.is_folder {
                    open.push((entry.path.clone(), format!("{path}/")));
                } else if files.insert(path.clone(), entry.clone()).is_some() {
                    return Err(Failure::input(format!("the project `{}` has two files `{path}`", self.id)));
                }
            }
        }
        Ok(files)
    }

    /// The entries of a folder, at least those of the wanted name. Folders on the way are the same for every subject, so
    /// their listings are cached.
    fn list(
        &self,
        folder: &str,
        wanted: Option<(&str, bool)>,
        context: &dyn Context,
    ) -> Result<Arc<Vec<OsfEntry>>, Failure> {
        let mut url = format!("{}/nodes/{}/files/osfstorage{folder}?page[size]=100", self.api, self.id);
        if let Some((name, _)) = wanted {
            url.push_str(&format!("&filter[name]={}", percent_encoded(name)));
        }
        let cache = wanted.is_some_and(|(_, is_folder)| is_folder);
        if cache && let Some(listing) = listings().get(&url) {
            return Ok(Arc::clone(listing));
        }
        let listing = Arc::new(self.read_pages(&url, context)?);
        if cache {
            listings().insert(url, Arc::clone(&listing));
        }
        Ok(listing)
    }

    fn read_pages(&self, first: &str, context: &dyn Context) -> Result<Vec<OsfEntry>, Failure> {
        let mut entries = Vec::new();
        let mut url = first.to_owned();
        for _ in 0..MOST_PAGES {
            let text = self.get(&url, context)?;
            let page: Page = serde_json::from_str(&text).map_err(|error| {
                Failure::environment(format!("the listing of project `{}` is not as expected: {error}", self.id))
                    .transient()
            })?;
            entries.extend(page.data.into_iter().map(OsfEntry::from));
            match page.links.next {
                Some(next) => url = next,
                None => return Ok(entries),
            }
        }
        Err(Failure::environment(format!("the listing of project `{}` does not end after {MOST_PAGES} pages", self.id)))
    }

    fn get(&self, url: &str, context: &dyn Context) -> Result<String, Failure> {
        let name = format!("the listing of project {}", self.id);
        let url = url.replace('[', "%5B").replace(']', "%5D");
        let request = || GetRequest { url: url.clone(), headers: Vec::new() };
        http::text(&self.agent, &name, &request, context).map_err(|error| self.refused(error, &name))
    }

    fn refused(&self, error: http::RequestError, name: &str) -> Failure {
        match error {
            http::RequestError::Refused(refusal) if matches!(refusal.status, 401 | 403 | 404 | 410) => {
                Failure::input(format!("there is no public project `{}` (HTTP status {})", self.id, refusal.status))
                    .hint("check the project's id, and that the project is public")
            }
            other => other.into_failure(name),
        }
    }

    /// Whether the service answers for this project. Its files are not listed, which takes long.
    ///
    /// # Errors
    /// Input: no such public project. Environment: the network.
    pub fn probe(&self, context: &dyn Context) -> Result<Probe, Failure> {
        let name = format!("the project {} on the Open Science Framework", self.id);
        let url = format!("{}/nodes/{}/files/osfstorage/", self.api, self.id);
        let request = || Ok(GetRequest { url: url.clone(), headers: Vec::new() });
        http::size(&self.agent, &name, &request, context).map_err(|error| self.refused(error, &name))?;
        Ok(Probe { found: format!("{name} answers"), bytes: None, incomplete: false })
    }
}

impl OsfEntry {
    /// A file with a known address.
    pub fn file(name: &str, address: &str, sha256: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            is_folder: false,
            path: String::new(),
            download: Some(address.to_owned()),
            sha256: sha256.map(str::to_owned),
        }
    }

    /// The address it is downloaded from, if there is one.
    pub fn address(&self) -> Option<&str> {
        self.download.as_deref()
    }

    /// Brings the file and compares it with its SHA-256; the notes say so where the listing gives none.
    ///
    /// # Errors
    /// Those of [`fetch_url`].
    pub fn download(&self, task: &Task, target: &Path, context: &dyn Context) -> Result<Vec<String>, Failure> {
        let url = self.download.as_deref().ok_or_else(|| {
            Failure::environment(format!("the listing gives no address for `{}`", self.name)).transient()
        })?;
        let pin = self.sha256.as_deref().map(Sha256::parse).transpose()?;
        let site = std::env::var(SITE_VARIABLE).unwrap_or_else(|_| SITE.to_owned());
        fetch_url(&on_site(url, &site), pin.as_ref(), task, target, context)
    }
}

/// An address of the service, at another one if that is wanted; other addresses stay.
fn on_site(url: &str, site: &str) -> String {
    match url.strip_prefix(SITE).filter(|rest| rest.starts_with('/')) {
        Some(rest) => format!("{}{rest}", site.trim_end_matches('/')),
        None => url.to_owned(),
    }
}

fn listings() -> std::sync::MutexGuard<'static, BTreeMap<String, Arc<Vec<OsfEntry>>>> {
    static LISTINGS: OnceLock<Mutex<BTreeMap<String, Arc<Vec<OsfEntry>>>>> = OnceLock::new();
    LISTINGS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[derive(Deserialize)]
struct Page {
    data: Vec<PageEntry>,
    #[serde(default)]
    links: PageLinks,
}

#[derive(Default, Deserialize)]
struct PageLinks {
    next: Option<String>,
}

#[derive(Deserialize)]
struct PageEntry {
    attributes: Attributes,
    #[serde(default)]
    links: EntryLinks,
}

#[derive(Deserialize)]
struct Attributes {
    name: String,
    kind: String,
    path: String,
    #[serde(default)]
    extra: Extra,
}

#[derive(Default, Deserialize)]
struct Extra {
    #[serde(default)]
    hashes: Hashes,
}

#[derive(Default, Deserialize)]
struct Hashes {
    sha256: Option<String>,
}

#[derive(Default, Deserialize)]
struct EntryLinks {
    download: Option<String>,
}

impl From<PageEntry> for OsfEntry {
    fn from(entry: PageEntry) -> Self {
        Self {
            is_folder: entry.attributes.kind == "folder",
            name: entry.attributes.name,
            path: entry.attributes.path,
            download: entry.links.download,
            sha256: entry.attributes.extra.hashes.sha256,
        }
    }
}

#[cfg(test)]
mod tests {
    use pipe_contract::Silent;

    use super::super::loopback::{LoopbackAnswer, Server};
    use super::*;

    fn entry(kind: &str, name: &str, path: &str, more: &str) -> String {
        format!(
            r#"{{"attributes":{{"name":"{name}","kind":"{kind}","path":"{path}"{more}}},"links":{{"download":"http://d/{name}"}}}}"#
        )
    }

    fn page(entries: &[String], next: Option<&str>) -> LoopbackAnswer {
        let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
        LoopbackAnswer::ok(format!(r#"{{"data":[{}],"links":{{"next":{next}}}}}"#, entries.join(",")))
    }

    #[test]
    fn files_are_found_through_folders_and_pages() {
        let server = Server::start(|request, address| match request.target.as_str() {
            "/v2/nodes/aaaaa/files/osfstorage/?page%5Bsize%5D=100&filter%5Bname%5D=normalized" => {
                page(&[entry("folder", "normalized", "/n/", ""), entry("folder", "normalized2", "/m/", "")], None)
            }
            "/v2/nodes/aaaaa/files/osfstorage/n/?page%5Bsize%5D=100&filter%5Bname%5D=1.labels.hdf5" => {
                page(&[entry("file", "11.labels.hdf5", "/f1", "")], Some(&format!("{address}/more")))
            }
            "/more" if request.number < 4 => LoopbackAnswer::status(503),
            "/more" => page(&[entry("file", "1.labels.hdf5", "/f2", r#","extra":{"hashes":{"sha256":"ab"}}"#)], None),
            _ => page(&[], None),
        });
        let project = Project::at("aaaaa", &format!("{}/v2", server.address())).unwrap();
        let entry = project.find("normalized/1.labels.hdf5", &Silent).unwrap().unwrap();
        assert_eq!((entry.path.as_str(), entry.sha256.as_deref()), ("/f2", Some("ab")));
        assert_eq!(project.find("normalized/2.labels.hdf5", &Silent).unwrap(), None);
        assert_eq!(project.find("raw/1.mat", &Silent).unwrap(), None);
    }

    #[test]
    fn whether_a_project_answers_takes_one_question() {
        let server = Server::start(|request, _| match request.target.as_str() {
            "/nodes/ddddd/files/osfstorage/" => page(&[], None),
            _ => LoopbackAnswer::status(404),
        });
        let probe = |id: &str| Project::at(id, &server.address()).unwrap().probe(&Silent);
        assert_eq!(probe("ddddd").unwrap().found, "the project ddddd on the Open Science Framework answers");
        assert_eq!(server.requests(), 1);
        assert!(probe("eeeee").unwrap_err().message.starts_with("there is no public project `eeeee`"));
    }

    #[test]
    fn all_files_below_a_folder_are_found_with_few_questions() {
        let server = Server::start(|request, address| match request.target.split('?').next().unwrap_or_default() {
            "/nodes/ccccc/files/osfstorage/" => {
                page(&[entry("folder", "maps", "/m/", ""), entry("file", "x", "/x", "")], None)
            }
            "/nodes/ccccc/files/osfstorage/m/" => page(
                &[
                    entry("file", "1.mgz", "/f1", r#","extra":{"hashes":{"sha256":"ab"}}"#),
                    entry("folder", "old", "/o/", ""),
                ],
                Some(&format!("{address}/more")),
            ),
            "/more" => page(&[entry("file", "2.mgz", "/f2", "")], None),
            "/nodes/ccccc/files/osfstorage/o/" => page(&[entry("file", "1.mgz", "/f3", "")], None),
            _ => LoopbackAnswer::status(404),
        });
        let project = Project::at("ccccc", &server.address()).unwrap();
        let files = project.files_below("maps", &Silent).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["maps/1.mgz", "maps/2.mgz", "maps/old/1.mgz"]);
        assert_eq!(files["maps/1.mgz"].sha256.as_deref(), Some("ab"));
        assert_eq!(server.requests(), 4);
        assert_eq!(project.files_below("", &Silent).unwrap().len(), 4);
        let failure = project.files_below("maps/none", &Silent).unwrap_err();
        assert_eq!(failure.message, "the project `ccccc` has no folder `maps/none`");
    }

    #[test]
    fn only_addresses_of_the_service_move_to_another_site() {
        assert_eq!(on_site("https://osf.io/download/a/", "http://127.0.0.1:9/"), "http://127.0.0.1:9/download/a/");
        assert_eq!(on_site("https://osf.io/download/a/", SITE), "https://osf.io/download/a/");
        assert_eq!(on_site("https://osf.io.example.org/a", "http://x"), "https://osf.io.example.org/a");
    }

    #[test]
    fn a_project_that_is_not_public_is_named() {
        let server = Server::start(|_, _| LoopbackAnswer::status(403));
        let project = Project::at("bbbbb", &server.address()).unwrap();
        let failure = project.find("x", &Silent).unwrap_err();
        assert!(failure.message.contains("no public project `bbbbb`"), "{failure}");
        assert!(Project::open("a/b").is_err());
    }
}
