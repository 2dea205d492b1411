//! Finds the keys that a stage's `credential: NAME` stands for, in the usual places of keys for S3.
//!
//! `NAME` is a profile of the credentials file (`~/.aws/credentials`, or `AWS_SHARED_CREDENTIALS_FILE`) or of the config
//! file (`~/.aws/config`, or `AWS_CONFIG_FILE`, where it is headed `[profile NAME]`); the credentials file goes first.
//! Without such a profile the variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` are used.
//! Between the two, the places of the package `neuropythy` are looked at, because users of these data have them: for the name `hcp`
//! the variables `HCP_CREDENTIALS` (`KEY:SECRET`) and `HCP_KEY` with `HCP_SECRET`, the files `~/.hcp-passwd` and `~/.passwd-hcp`.
//! The name `default` is the usual chain: the variables, then the profile of `AWS_PROFILE`, then `[default]`.
//! A `credential_process` is run. Sign-in flows (SSO, assumed roles) are left to the vendor's tool: the error names it.
//!
//! Nothing here shows a secret: not in messages, not in `Debug`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pipe_contract::Failure;
use serde::Deserialize;

/// Keys and what belongs to them.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub secret: String,
    /// The session token of temporary keys.
    pub token: Option<String>,
    /// Where they were found, for messages: `profile \`hcp\` of ~/.aws/credentials`.
    pub found_in: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({}, {})", self.short_id(), self.found_in)
    }
}

impl Keys {
    /// The last four characters of the key id: enough to recognise it, of no use without the rest.
    pub fn short_id(&self) -> String {
        let skip = self.id.chars().count().saturating_sub(4);
        format!("...{}", self.id.chars().skip(skip).collect::<String>())
    }
}

/// What the process was started with; explicit, so that tests need not touch the real environment.
#[derive(Clone, Debug, Default)]
pub struct CredentialVariables {
    variables: BTreeMap<String, String>,
}

impl CredentialVariables {
    /// The environment of this process.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn file(&self, variable: &str, name: &str) -> Option<PathBuf> {
        match self.get(variable) {
            Some(path) => Some(PathBuf::from(path)),
            None => self.get("HOME").map(|home| Path::new(home).join(".aws").join(name)),
        }
    }
}

impl FromIterator<(String, String)> for CredentialVariables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(iter: I) -> Self {
        Self { variables: iter.into_iter().collect() }
    }
}

/// The profiles of both files.
#[derive(Debug, Default)]
pub struct Profiles {
    /// Profile to setting to (value, file it is in). The credentials file wins over the config file.
    settings: BTreeMap<String, BTreeMap<String, (String, PathBuf)>>,
    /// The files that were searched.
    files: Vec<PathBuf>,
}

impl Profiles {
    /// Reads both files; one that does not exist is empty.
    ///
    /// # Errors
    /// Environment: a file exists and cannot be read.
    pub fn read(environment: &CredentialVariables) -> Result<Self, Failure> {
        let mut profiles = Self::default();
        let config = environment.file("AWS_CONFIG_FILE", "config");
        let credentials = environment.file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        for (path, is_config) in [(credentials, false), (config, true)] {
            let Some(path) = path else { continue };
            match fs_err::read_to_string(&path) {
                Ok(text) => profiles.add(&text, &path, is_config),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::io("read", &path, &error)),
            }
            profiles.files.push(path);
        }
        Ok(profiles)
    }

    fn add(&mut self, text: &str, path: &Path, is_config: bool) {
        let mut profile: Option<String> = None;
        let mut nests = false;
        for line in text.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(header) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                profile = profile_of(header.trim(), is_config);
                nests = false;
                continue;
            }
            let Some((key, value)) = trimmed.split_once('=') else { continue };
            let value = value.split(" #").next().unwrap_or_default().trim();
            // `s3 =` with indented lines below is a group of settings that are not ours.
            if nests && line.starts_with(char::is_whitespace) {
                continue;
            }
            nests = value.is_empty();
            if let (Some(profile), false) = (&profile, value.is_empty()) {
                let settings = self.settings.entry(profile.clone()).or_default();
                settings.entry(key.trim().to_ascii_lowercase()).or_insert_with(|| (value.to_owned(), path.to_owned()));
            }
        }
    }

    /// A setting of a profile, such as `region`.
    pub fn get(&self, profile: &str, setting: &str) -> Option<&str> {
        self.settings.get(profile)?.get(setting).map(|(value, _)| value.as_str())
    }

    fn place(&self, profile: &str, setting: &str) -> String {
        let file = self.settings.get(profile).and_then(|settings| settings.get(setting)).map(|(_, path)| path);
        file.map_or_else(|| format!("profile `{profile}`"), |path| format!("profile `{profile}` of {}", path.display()))
    }
}

/// `[name]` in the credentials file; `[default]` or `[profile name]` in the config file, where other headers are not profiles.
fn profile_of(header: &str, is_config: bool) -> Option<String> {
    if !is_config || header == "default" {
        return Some(header.to_owned());
    }
    header
        .strip_prefix("profile")
        .filter(|rest| rest.starts_with(char::is_whitespace))
        .map(|rest| rest.trim().to_owned())
}

/// The keys of a credential.
///
/// # Errors
/// Environment: there are none, half of them is missing, or they come from a flow that only the vendor's tool supports.
pub fn find(name: &str, environment: &CredentialVariables, profiles: &Profiles) -> Result<Keys, Failure> {
    let chain = name == "default";
    let profile = if chain { environment.get("AWS_PROFILE").unwrap_or("default") } else { name };
    if chain && let Some(keys) = from_variables(environment)? {
        return Ok(keys);
    }
    if profiles.settings.contains_key(profile) {
        return from_profile(profile, profiles);
    }
    if !chain && let Some(keys) = from_neuropythy(name, environment)? {
        return Ok(keys);
    }
    if !chain && let Some(keys) = from_variables(environment)? {
        return Ok(keys);
    }
    Err(no_keys(profile, profiles))
}

fn from_variables(environment: &CredentialVariables) -> Result<Option<Keys>, Failure> {
    let Some(id) = environment.get("AWS_ACCESS_KEY_ID") else { return Ok(None) };
    let Some(secret) = environment.get("AWS_SECRET_ACCESS_KEY") else {
        return Err(Failure::environment("AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not")
            .hint("set both, or unset both and use a profile"));
    };
    Ok(Some(Keys {
        id: id.to_owned(),
        secret: secret.to_owned(),
        token: environment.get("AWS_SESSION_TOKEN").map(str::to_owned),
        found_in: "the variable AWS_ACCESS_KEY_ID".to_owned(),
    }))
}

/// The places where the package `neuropythy` looks for the keys of a name.
fn from_neuropythy(name: &str, environment: &CredentialVariables) -> Result<Option<Keys>, Failure> {
    let capitals = name.to_ascii_uppercase().replace('-', "_");
    let (both, id, secret) =
        (format!("{capitals}_CREDENTIALS"), format!("{capitals}_KEY"), format!("{capitals}_SECRET"));
    let pair = |text: &str, place: String| {
        let mut parts = text.trim().split([':', '\n']).map(str::trim);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(id), Some(secret), None) if !id.is_empty() && !secret.is_empty() => {
                Ok(Some(Keys { id: id.to_owned(), secret: secret.to_owned(), token: None, found_in: place }))
            }
            // What is there may hold the secret, so no part of it is quoted.
            _ => Err(Failure::environment(format!("{place} is not a key and a secret"))
                .hint("expected one line `KEY:SECRET`, or two lines")),
        }
    };
    if let Some(text) = environment.get(&both) {
        return pair(text, format!("the variable {both}"));
    }
    match (environment.get(&id), environment.get(&secret)) {
        (Some(key), Some(secret)) => return pair(&format!("{key}\n{secret}"), format!("the variable {id}")),
        (None, None) => {}
        _ => {
            return Err(Failure::environment(format!("one of {id} and {secret} is set, the other is not"))
                .hint("set both, or unset both and use a profile"));
        }
    }
    let Some(home) = environment.get("HOME") else { return Ok(None) };
    for file in [format!(".{name}-passwd"), format!(".passwd-{name}")] {
        let path = Path::new(home).join(file);
        match fs_err::read_to_string(&path) {
            Ok(text) => return pair(&text, format!("the file {}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::io("read", &path, &error)),
        }
    }
    Ok(None)
}

fn from_profile(profile: &str, profiles: &Profiles) -> Result<Keys, Failure> {
    let get = |setting: &str| profiles.get(profile, setting).map(str::to_owned);
    match (get("aws_access_key_id"), get("aws_secret_access_key")) {
        (Some(id), Some(secret)) => {
            let found_in = profiles.place(profile, "aws_access_key_id");
            return Ok(Keys { id, secret, token: get("aws_session_token"), found_in });
        }
        (None, None) => {}
        (Some(_), None) => return Err(half(profile, profiles, "aws_access_key_id", "aws_secret_access_key")),
        (None, Some(_)) => return Err(half(profile, profiles, "aws_secret_access_key", "aws_access_key_id")),
    }
    if let Some(command) = get("credential_process") {
        return from_process(&command, &profiles.place(profile, "credential_process"));
    }
    let flows =
        ["sso_session", "sso_start_url", "role_arn", "web_identity_token_file", "credential_source", "login_session"];
    if let Some(flow) = flows.into_iter().find(|flow| get(flow).is_some()) {
        return Err(Failure::environment(format!(
            "{} gets its keys by signing in (`{flow}`), which `pipe` does not do itself",
            profiles.place(profile, flow)
        ))
        .hint(format!(
            "sign in with the vendor's tool, then `eval \"$(aws configure export-credentials --profile {profile} \
             --format env)\"` and run again"
        )));
    }
    Err(Failure::environment(format!("profile `{profile}` has no `aws_access_key_id` and no `credential_process`"))
        .hint("add `aws_access_key_id` and `aws_secret_access_key` to it"))
}

fn half(profile: &str, profiles: &Profiles, has: &str, lacks: &str) -> Failure {
    Failure::environment(format!("{} has `{has}` but no `{lacks}`", profiles.place(profile, has)))
        .hint(format!("add the line `{lacks} = ...`"))
}

fn no_keys(profile: &str, profiles: &Profiles) -> Failure {
    let files: Vec<String> = profiles.files.iter().map(|path| format!("`{}`", path.display())).collect();
    let searched = if files.is_empty() { "any file (HOME is not set)".to_owned() } else { files.join(" or ") };
    let failure = Failure::environment(format!(
        "there is no profile `{profile}` in {searched}, and AWS_ACCESS_KEY_ID is not set"
    ));
    let nearest = profiles.settings.keys().find(|known| known.eq_ignore_ascii_case(profile));
    match nearest {
        Some(known) => failure.hint(format!("there is a profile `{known}`; did you mean that one?")),
        None => failure.hint(format!(
            "write the keys into the credentials file under the head `[{profile}]` as `aws_access_key_id = ...` and \
             `aws_secret_access_key = ...`"
        )),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProcessOutput {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

fn from_process(command: &str, place: &str) -> Result<Keys, Failure> {
    let failed = |what: String| {
        Failure::environment(format!("the `credential_process` of {place} {what}"))
            .hint("run the command by hand and fix it")
    };
    let words = split_words(command).ok_or_else(|| failed("has a quote that is never closed".to_owned()))?;
    let (program, arguments) = words.split_first().ok_or_else(|| failed("is empty".to_owned()))?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("could not be started: {error}")))?;
    if !output.status.success() {
        return Err(failed(format!("ended with {}", output.status)));
    }
    // What it printed may hold the secret, so no part of it is quoted.
    let keys: ProcessOutput = serde_json::from_slice(&output.stdout).map_err(|_| {
        failed("did not print the JSON object with Version, AccessKeyId and SecretAccessKey".to_owned())
    })?;
    if keys.version != 1 {
        return Err(failed(format!("printed Version {}, expected 1", keys.version)));
    }
    Ok(Keys {
        id: keys.access_key_id,
        secret: keys.secret_access_key,
        token: keys.session_token,
        found_in: place.to_owned(),
    })
}

/// Splits a command as a shell would, without expanding anything; `None` for an open quote.
fn split_words(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = command.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().push(characters.next()?),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREDENTIALS: &str = "
# the lab's keys
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = sd

[hcp]
aws_access_key_id=AKIAHCP12345
aws_secret_access_key = a/b+c=d   # rotated in May
aws_session_token = tok==
[half]
aws_access_key_id = AKIAHALF
";
    const CONFIG: &str = "
[default]
region = eu-west-1
[profile hcp]
region = us-east-1
s3 =
  endpoint_url = http://nested
  addressing_style = path
[profile sso]
sso_session = lab
[profile empty]
region = x
[services other]
aws_access_key_id = not-a-profile
[profile process]
credential_process = sh -c 'printf \"{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"AKP\\\",\\\"SecretAccessKey\\\":\\\"sp\\\"}\"'
[profile broken]
credential_process = false
";

    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs_err::create_dir(home.path().join(".aws")).unwrap();
        fs_err::write(home.path().join(".aws/credentials"), CREDENTIALS).unwrap();
        fs_err::write(home.path().join(".aws/config"), CONFIG).unwrap();
        home
    }

    fn find_in(home: &Path, name: &str, variables: &[(&str, &str)]) -> Result<Keys, Failure> {
        let mut all = vec![("HOME".to_owned(), home.display().to_string())];
        all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let environment: CredentialVariables = all.into_iter().collect();
        find(name, &environment, &Profiles::read(&environment)?)
    }

    #[test]
    fn a_named_profile_is_read_with_token_and_comment() {
        let home = home();
        let keys =
            find_in(home.path(), "hcp", &[("AWS_ACCESS_KEY_ID", "AKENV"), ("AWS_SECRET_ACCESS_KEY", "s")]).unwrap();
        assert_eq!((keys.id.as_str(), keys.secret.as_str()), ("AKIAHCP12345", "a/b+c=d"));
        assert_eq!(keys.token.as_deref(), Some("tok=="));
        assert!(keys.found_in.starts_with("profile `hcp` of ") && keys.found_in.ends_with("credentials"));
    }

    #[test]
    fn variables_serve_where_no_profile_has_the_name() {
        let home = home();
        let variables = [("AWS_ACCESS_KEY_ID", "AKENV"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "t")];
        let keys = find_in(home.path(), "elsewhere", &variables).unwrap();
        assert_eq!((keys.id.as_str(), keys.token.as_deref()), ("AKENV", Some("t")));
        let failure = find_in(home.path(), "elsewhere", &variables[..1]).unwrap_err();
        assert!(failure.message.contains("AWS_SECRET_ACCESS_KEY is not"), "{failure}");
    }

    #[test]
    fn places_of_neuropythy_serve_where_no_profile_has_the_name() {
        let home = home();
        let find = |name: &str, variables: &[(&str, &str)]| find_in(home.path(), name, variables);
        let keys = find("lab", &[("LAB_CREDENTIALS", "AKIALAB:se/cret"), ("AWS_ACCESS_KEY_ID", "AKIAOTHER")]).unwrap();
        assert_eq!((keys.id.as_str(), keys.secret.as_str()), ("AKIALAB", "se/cret"));
        assert_eq!(keys.found_in, "the variable LAB_CREDENTIALS");
        let keys = find("lab", &[("LAB_KEY", "AKIALAB2"), ("LAB_SECRET", "s2")]).unwrap();
        assert_eq!((keys.id.as_str(), keys.secret.as_str()), ("AKIALAB2", "s2"));
        assert!(find("lab", &[("LAB_KEY", "AKIALAB2")]).unwrap_err().message.contains("LAB_SECRET"));
        let profile = find("hcp", &[("HCP_CREDENTIALS", "AKIAOTHER:x")]).unwrap();
        assert_eq!(profile.id, "AKIAHCP12345", "a profile goes first");
        fs_err::write(home.path().join(".passwd-lab"), "AKIAFILE\nsecret-in-file\n").unwrap();
        assert_eq!(find("lab", &[]).unwrap().secret, "secret-in-file");
        fs_err::write(home.path().join(".lab-passwd"), "secret-in-file").unwrap();
        let failure = find("lab", &[]).unwrap_err();
        assert!(failure.message.ends_with(".lab-passwd is not a key and a secret"), "{failure}");
        assert!(!failure.to_string().contains("secret-in-file"));
    }

    #[test]
    fn default_is_the_usual_chain() {
        let home = home();
        let variables = [("AWS_ACCESS_KEY_ID", "AKENV"), ("AWS_SECRET_ACCESS_KEY", "s")];
        assert_eq!(find_in(home.path(), "default", &variables).unwrap().id, "AKENV");
        assert_eq!(find_in(home.path(), "default", &[("AWS_PROFILE", "hcp")]).unwrap().id, "AKIAHCP12345");
        assert_eq!(find_in(home.path(), "default", &[]).unwrap().id, "AKIADEFAULT");
    }

    #[test]
    fn files_can_lie_elsewhere() {
        let home = home();
        let file = home.path().join("keys");
        fs_err::write(&file, "[hcp]\naws_access_key_id = OTHER\naws_secret_access_key = s\n").unwrap();
        let path = file.display().to_string();
        assert_eq!(find_in(home.path(), "hcp", &[("AWS_SHARED_CREDENTIALS_FILE", &path)]).unwrap().id, "OTHER");
    }

    #[test]
    fn settings_of_groups_and_other_sections_are_not_taken() {
        let home = home();
        let environment: CredentialVariables =
            [("HOME".to_owned(), home.path().display().to_string())].into_iter().collect();
        let profiles = Profiles::read(&environment).unwrap();
        assert_eq!(profiles.get("hcp", "region"), Some("us-east-1"));
        assert_eq!(profiles.get("hcp", "endpoint_url"), None);
        assert!(!profiles.settings.contains_key("services other"));
    }

    #[test]
    fn a_process_may_give_keys() {
        let home = home();
        let keys = find_in(home.path(), "process", &[]).unwrap();
        assert_eq!((keys.id.as_str(), keys.secret.as_str(), keys.token), ("AKP", "sp", None));
        let failure = find_in(home.path(), "broken", &[]).unwrap_err();
        assert!(failure.message.contains("`credential_process`") && failure.message.contains("exit status: 1"));
    }

    #[test]
    fn what_cannot_be_used_is_an_error_with_a_remedy() {
        let home = home();
        let sso = find_in(home.path(), "sso", &[]).unwrap_err();
        assert!(
            sso.message.contains("`sso_session`") && sso.hint.unwrap().contains("export-credentials --profile sso")
        );
        let half = find_in(home.path(), "half", &[]).unwrap_err();
        assert!(half.message.contains("has `aws_access_key_id` but no `aws_secret_access_key`"), "{half}");
        assert!(find_in(home.path(), "empty", &[]).unwrap_err().message.contains("no `credential_process`"));
        let none = find_in(home.path(), "HCP", &[]).unwrap_err();
        assert!(none.message.contains("no profile `HCP`") && none.hint.unwrap().contains("`hcp`"));
    }

    #[test]
    fn secrets_do_not_show() {
        let keys = find_in(home().path(), "hcp", &[]).unwrap();
        let shown = format!("{keys:?}");
        assert!(shown.contains("...2345") && !shown.contains("AKIAHCP") && !shown.contains("a/b+c"), "{shown}");
    }

    #[test]
    fn words_are_split_as_in_a_shell() {
        assert_eq!(split_words("a 'b c' \"d\\\"e\" f\\ g ''").unwrap(), ["a", "b c", "d\"e", "f g", ""]);
        assert_eq!(split_words("a 'b"), None);
    }
}
