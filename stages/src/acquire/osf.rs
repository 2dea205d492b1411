//! Files of projects on the Open Science Framework: the kinds `osf/file`, `labels/osf` and `labels/inferred`.
//!
//! A project's storage is a tree of folders; a folder is listed in pages, slowly, so what is listed is kept for the life
//! of the process and names are asked for by filter. A listing gives each file's SHA-256, which is compared after the
//! download: the pin comes from the archive itself. The service answers 429 and 5xx now and then; both are retried.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use pipe_contract::{Context, Ended, Failure, Kind, StageKind, Task, Type, Value};
use serde::Deserialize;

use super::digest::Sha256;
use super::file::fetch_url;
use super::http::{self, Ask};
use super::import::labels;

const API: &str = "https://api.osf.io/v2";
/// Another address of the API, for mirrors and tests.
const API_VARIABLE: &str = "PIPE_OSF_API";
/// A listing of more pages than this is a loop of the server's.
const MOST_PAGES: usize = 1000;

/// How often an instance that waits for another one's answer looks whether the run ends.
const WAIT: Duration = Duration::from_millis(50);

/// One project's exclusions, once somebody has read them.
type ExclusionsSlot = Mutex<Option<Arc<Vec<Exclusion>>>>;

/// `osf/file`: one file of a project.
pub struct OsfFile;

#[derive(Deserialize)]
struct FileParameters {
    project: String,
    name: String,
    sha256: String,
}

impl StageKind for OsfFile {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new("osf/file", 1, "One file of a project on the Open Science Framework.")
            .file("file", "prf-raw", "The bytes of the file.")
            .required("project", Type::Text, "The project's id, such as `bw9ec`.")
            .required("name", Type::Text, "The file's path in the project's storage, such as `prfresults59k.mat`.")
            .param(
                "sha256",
                Type::Text,
                Value::Text(String::new()),
                "The SHA-256 that the file must have; empty for the one that the project's listing gives.",
            );
        kind.network = true;
        kind.checkpoint = true;
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let parameters: FileParameters = task.parameters()?;
        let pin = Sha256::parse_optional(&parameters.sha256)?;
        let project = Project::open(&parameters.project)?;
        let Some(mut entry) = project.find(&parameters.name, context)? else {
            return Err(Failure::input(format!(
                "the project `{}` has no file `{}`",
                parameters.project, parameters.name
            ))
            .hint("look at the project's page; names are case-sensitive, folders are written `a/b.mat`"));
        };
        entry.sha256 = pin.map(|pin| pin.as_str().to_owned()).or(entry.sha256);
        let notes = entry.download(task, task.output("file")?, context)?;
        Ok(Ended::Done { ran_on: None, notes })
    }
}

/// `labels/osf`: a rater's labels of a person from the project of hand-drawn labels.
pub struct LabelsOsf;

#[derive(Deserialize)]
struct ProjectParameters {
    project: String,
}

impl StageKind for LabelsOsf {
    fn kind(&self) -> Kind {
        let mut kind =
            Kind::new("labels/osf", 1, "A rater's hand-drawn labels of a person, from the Open Science Framework.")
                .folder(
                    "labels",
                    "labels",
                    "{lh,rh}.area.mgz (0..3) and {lh,rh}.ring.mgz (0..5), one value per native vertex.",
                )
                .required(
                    "project",
                    Type::Text,
                    "The project's id, `gqnp8`: it holds `normalized/<rater>/<sid>.labels.hdf5`.",
                );
        kind.axes = vec!["rater", "sid"];
        kind.network = true;
        kind.absences = vec!["not-found", "excluded"];
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let (sid, rater) = (task.coordinate("sid")?, task.coordinate("rater")?);
        let project = Project::open(&task.parameters::<ProjectParameters>()?.project)?;
        let exclusions = project.exclusions(task, context)?;
        if let Some(hemisphere) = excluded(&exclusions, rater, sid) {
            let detail = format!("the project excludes {hemisphere} of person `{sid}` by rater `{rater}`");
            return Ok(Ended::Absent { cause: "excluded".to_owned(), detail });
        }
        let name = format!("normalized/{rater}/{sid}.labels.hdf5");
        let Some(entry) = project.find(&name, context)? else { return Ok(not_found(&project, &name)) };
        let file = task.scratch.join("labels.hdf5");
        let mut notes = entry.download(task, &file, context)?;
        notes.extend(labels::from_hdf5(&file, task.output("labels")?)?);
        Ok(Ended::Done { ran_on: None, notes })
    }
}

/// `labels/inferred`: Bayesian inferred maps of a person as labels.
pub struct LabelsInferred;

impl StageKind for LabelsInferred {
    fn kind(&self) -> Kind {
        let mut kind = Kind::new(
            "labels/inferred",
            1,
            "Bayesian inferred maps of a person as labels, from the Open Science Framework.",
        )
        .folder("labels", "labels", "{lh,rh}.area.mgz (0..3) and {lh,rh}.ring.mgz (0..5), one value per native vertex.")
        .required(
            "project",
            Type::Text,
            "The project's id, `5gprz`: it holds `inferred_maps/<sid>.{lh,rh}.inf-MSMAll_{varea,eccen}.native32k.mgz`.",
        );
        kind.axes = vec!["sid"];
        kind.network = true;
        kind.absences = vec!["not-found"];
        kind
    }

    fn run(&self, task: &Task, context: &dyn Context) -> Result<Ended, Failure> {
        let sid = task.coordinate("sid")?;
        let project = Project::open(&task.parameters::<ProjectParameters>()?.project)?;
        let folder = task.scratch.join("maps");
        let mut notes = Vec::new();
        for hemisphere in ["lh", "rh"] {
            for quantity in ["varea", "eccen"] {
                let name = format!("{sid}.{hemisphere}.inf-MSMAll_{quantity}.native32k.mgz");
                let path = format!("inferred_maps/{name}");
                let Some(entry) = project.find(&path, context)? else { return Ok(not_found(&project, &path)) };
                notes.extend(entry.download(task, &folder.join(name), context)?);
            }
        }
        let path = |hemisphere: crate::formats::subject::Hemisphere, quantity: &str| {
            folder.join(format!("{sid}.{}.inf-MSMAll_{quantity}.native32k.mgz", hemisphere.name()))
        };
        labels::from_inferred(path, task.output("labels")?)?;
        Ok(Ended::Done { ran_on: None, notes })
    }
}

fn not_found(project: &Project, path: &str) -> Ended {
    Ended::Absent {
        cause: "not-found".to_owned(),
        detail: format!("the project `{}` has no file `{path}`", project.id),
    }
}

/// A project's storage.
struct Project {
    id: String,
    api: String,
    agent: ureq::Agent,
}

/// A file or folder in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    is_folder: bool,
    /// In the storage, such as `/5e95...` and with a final slash for folders.
    path: String,
    download: Option<String>,
    sha256: Option<String>,
}

impl Project {
    fn open(id: &str) -> Result<Self, Failure> {
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(
                Failure::input(format!("`{id}` is no project id")).hint("it is the last part of the project's address")
            );
        }
        let api = std::env::var(API_VARIABLE).unwrap_or_else(|_| API.to_owned());
        Self::at(id, api.trim_end_matches('/'))
    }

    fn at(id: &str, api: &str) -> Result<Self, Failure> {
        Ok(Self { id: id.to_owned(), api: api.to_owned(), agent: http::agent()? })
    }

    /// The entry of a file's path; none if it or one of its folders is not there.
    fn find(&self, path: &str, context: &dyn Context) -> Result<Option<Entry>, Failure> {
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

    /// What a folder holds, at least under the name asked for. Folders on the way are the same for every person, so
    /// their listings are kept.
    fn list(
        &self,
        folder: &str,
        wanted: Option<(&str, bool)>,
        context: &dyn Context,
    ) -> Result<Arc<Vec<Entry>>, Failure> {
        let mut url = format!("{}/nodes/{}/files/osfstorage{folder}?page[size]=100", self.api, self.id);
        if let Some((name, _)) = wanted {
            url.push_str(&format!("&filter[name]={}", percent_encoded(name)));
        }
        let keep = wanted.is_some_and(|(_, is_folder)| is_folder);
        if keep && let Some(listing) = kept().get(&url) {
            return Ok(Arc::clone(listing));
        }
        let listing = Arc::new(self.read_pages(&url, context)?);
        if keep {
            kept().insert(url, Arc::clone(&listing));
        }
        Ok(listing)
    }

    fn read_pages(&self, first: &str, context: &dyn Context) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::new();
        let mut url = first.to_owned();
        for _ in 0..MOST_PAGES {
            let text = self.get(&url, context)?;
            let page: Page = serde_json::from_str(&text).map_err(|error| {
                Failure::environment(format!("the listing of project `{}` is not as expected: {error}", self.id))
                    .transient()
            })?;
            entries.extend(page.data.into_iter().map(Entry::from));
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
        let ask = || Ask { url: url.clone(), headers: Vec::new() };
        http::text(&self.agent, &name, &ask, context).map_err(|trouble| match trouble {
            http::Trouble::Refused(refusal) if matches!(refusal.status, 401 | 403 | 404 | 410) => {
                Failure::input(format!("there is no public project `{}` (the server says {})", self.id, refusal.status))
                    .hint("check the project's id, and that the project is public")
            }
            other => other.into_failure(&name),
        })
    }

    /// `normalized/logs/exclusions.json`: rater, person and hemisphere of drawings that are not to be used.
    fn exclusions(&self, task: &Task, context: &dyn Context) -> Result<Arc<Vec<Exclusion>>, Failure> {
        static KEPT: OnceLock<Mutex<BTreeMap<String, Arc<ExclusionsSlot>>>> = OnceLock::new();
        let key = format!("{}/{}", self.api, self.id);
        let slot = {
            let mut kept = KEPT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(kept.entry(key).or_default())
        };
        // Held while fetching: the other instances wait for this project's one answer instead of asking again, unless the
        // run ends meanwhile.
        let mut known = loop {
            match slot.try_lock() {
                Ok(known) => break known,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if context.cancelled() => return Err(Failure::stage("cancelled")),
                Err(TryLockError::WouldBlock) => std::thread::sleep(WAIT),
            }
        };
        if let Some(exclusions) = &*known {
            return Ok(Arc::clone(exclusions));
        }
        let exclusions = self.read_exclusions(task, context)?;
        *known = Some(Arc::clone(&exclusions));
        Ok(exclusions)
    }

    fn read_exclusions(&self, task: &Task, context: &dyn Context) -> Result<Arc<Vec<Exclusion>>, Failure> {
        let path = "normalized/logs/exclusions.json";
        let entry = self.find(path, context)?.ok_or_else(|| {
            Failure::input(format!(
                "the project `{}` has no `{path}`, so nobody knows which drawings to leave out",
                self.id
            ))
            .hint("is it the project of hand-drawn labels (`gqnp8`)?")
        })?;
        let file = task.scratch.join("exclusions.json");
        entry.download(task, &file, context)?;
        let bytes = std::fs::read(&file).map_err(|error| Failure::io("read", &file, &error))?;
        serde_json::from_slice(&bytes).map(Arc::new).map_err(|error| {
            Failure::input(format!(
                "`{path}` of project `{}` is no list of [rater, person, hemisphere]: {error}",
                self.id
            ))
        })
    }
}

impl Entry {
    /// Brings the file and compares it with its SHA-256; the remarks say where the listing gives none.
    fn download(&self, task: &Task, target: &Path, context: &dyn Context) -> Result<Vec<String>, Failure> {
        let url = self.download.as_deref().ok_or_else(|| {
            Failure::environment(format!("the listing gives no address for `{}`", self.name)).transient()
        })?;
        let pin = self.sha256.as_deref().map(Sha256::parse).transpose()?;
        fetch_url(url, pin.as_ref(), task, target, context)
    }
}

fn kept() -> std::sync::MutexGuard<'static, BTreeMap<String, Arc<Vec<Entry>>>> {
    static KEPT: OnceLock<Mutex<BTreeMap<String, Arc<Vec<Entry>>>>> = OnceLock::new();
    KEPT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
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

impl From<PageEntry> for Entry {
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

/// A drawing that is not to be used: rater, person, hemisphere.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Exclusion(String, Id, String);

/// A person's id, which the list writes as a number or as text.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

impl Id {
    fn is(&self, sid: &str) -> bool {
        match self {
            Id::Number(number) => number.to_string() == sid,
            Id::Text(text) => text == sid,
        }
    }
}

/// The hemisphere that excludes a (rater, person), if one does; either takes the whole pair out. The derived rater
/// `mean` is excluded where more than one rater is.
fn excluded(exclusions: &[Exclusion], rater: &str, sid: &str) -> Option<&'static str> {
    ["lh", "rh"].into_iter().find(|hemisphere| {
        let here = exclusions.iter().filter(|Exclusion(_, id, h)| id.is(sid) && h == hemisphere);
        let mut raters: Vec<&str> = here.map(|Exclusion(rater, _, _)| rater.as_str()).collect();
        raters.sort_unstable();
        raters.dedup();
        raters.contains(&rater) || (rater == "mean" && raters.len() > 1)
    })
}

#[cfg(test)]
mod tests {
    use pipe_contract::Silent;

    use super::super::loopback::{Answer, Server};
    use super::*;

    fn entry(kind: &str, name: &str, path: &str, more: &str) -> String {
        format!(
            r#"{{"attributes":{{"name":"{name}","kind":"{kind}","path":"{path}"{more}}},"links":{{"download":"http://d/{name}"}}}}"#
        )
    }

    fn page(entries: &[String], next: Option<&str>) -> Answer {
        let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
        Answer::ok(format!(r#"{{"data":[{}],"links":{{"next":{next}}}}}"#, entries.join(",")))
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
            "/more" if request.number < 4 => Answer::status(503),
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
    fn a_project_that_is_not_public_is_named() {
        let server = Server::start(|_, _| Answer::status(403));
        let project = Project::at("bbbbb", &server.address()).unwrap();
        let failure = project.find("x", &Silent).unwrap_err();
        assert!(failure.message.contains("no public project `bbbbb`"), "{failure}");
        assert!(Project::open("a/b").is_err());
    }

    #[test]
    fn one_hemisphere_excludes_the_pair_and_two_raters_the_mean() {
        let list = r#"[["A1", 100610, "lh"], ["A2", "100610", "lh"], ["A3", 102311, "rh"]]"#;
        let list: Vec<Exclusion> = serde_json::from_str(list).unwrap();
        assert_eq!(excluded(&list, "A1", "100610"), Some("lh"));
        assert_eq!(excluded(&list, "A2", "100610"), Some("lh"));
        assert_eq!(excluded(&list, "A3", "100610"), None);
        assert_eq!(excluded(&list, "A3", "102311"), Some("rh"));
        assert_eq!(excluded(&list, "mean", "100610"), Some("lh"));
        assert_eq!(excluded(&list, "mean", "102311"), None);
    }
}
