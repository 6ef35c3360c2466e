//! How the fleet is served, and who signs in to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use identity::Role;
use identity::sign_in::{ParseRoleError, Roles, Service, TokenReviewConfig};

use super::reader::Reader;
use super::{Audience, Fleet, SignInFile, hands_settings};

/// See [`super::Settings::from`]. `client_ca_file` is the server's.
pub fn fleet(reader: &mut Reader<'_>, client_ca_file: Option<&Path>) -> Option<Fleet> {
    let api = reader.switch("fleet.api");
    let plain_http = audience(reader, "fleet.plain_http");
    let trusted_proxies = reader.parsed_list("fleet.trusted_proxies");
    let sign_in = sign_in(reader, client_ca_file);
    let token_review = token_review(reader);
    let hands = hands_settings::hands(reader);
    Some(Fleet {
        api: api?,
        plain_http: plain_http?,
        trusted_proxies: trusted_proxies?,
        sign_in: sign_in?,
        token_review: token_review?,
        hands: hands?,
    })
}

/// Who is answered.
pub fn audience(reader: &mut Reader<'_>, name: &str) -> Option<Audience> {
    Some(if reader.choice(name)? == "everyone" { Audience::Everyone } else { Audience::Loopback })
}

/// What the file says, when there is one.
fn sign_in(reader: &mut Reader<'_>, client_ca_file: Option<&Path>) -> Option<Option<SignInFile>> {
    if reader.text("fleet.sign_in")? == "certificates" {
        return Some(None);
    }
    let path = reader.path("fleet.sign_in")?;
    let text = store::regular_file::read(&path).map_err(|error| format!("{}: {error}", path.display()));
    let text = reader.or_wrong("fleet.sign_in", text)?;
    match SignInFile::read(path, &text, client_ca_file) {
        Ok(file) => Some(Some(file)),
        Err(problems) => {
            reader.all_wrong(problems);
            None
        }
    }
}

/// The Kubernetes that is asked about tokens, when there is one.
fn token_review(reader: &mut Reader<'_>) -> Option<Option<TokenReviewConfig>> {
    const URL: &str = "fleet.token_review.url";
    const TOKEN_FILE: &str = "fleet.token_review.token_file";
    let url = reader.is_said(URL).then(|| reader.parsed(URL));
    let token_file = reader.path(TOKEN_FILE);
    let ca_file = reader.path("fleet.token_review.ca_file");
    let audiences = reader.parsed_list("fleet.token_review.audiences");
    let users = roles(reader, "fleet.token_review.roles");
    let groups = roles(reader, "fleet.token_review.group_roles");
    let others = reader.choice("fleet.token_review.role").map(|word| word.parse::<Role>().ok());
    let Some(url) = url else {
        for idle in ["token_file", "ca_file", "audiences", "roles", "group_roles", "role"] {
            let name = format!("fleet.token_review.{idle}");
            if reader.is_said(&name) {
                reader.wrong(URL, format!("is needed where `{name}` is given"));
                return None;
            }
        }
        return Some(None);
    };
    if !reader.is_said(TOKEN_FILE) {
        reader.wrong(TOKEN_FILE, format!("is needed where `{URL}` is given"));
    }
    let service = Service { ca_file, ..Service::new(url?) };
    let roles = Roles { users: users?, groups: groups?, others: others? };
    Some(Some(TokenReviewConfig { service, token_file: token_file?, audiences: audiences?, roles }))
}

/// The files of a token review that have to be there, by the settings that name them.
pub fn files(review: &TokenReviewConfig) -> impl Iterator<Item = (&'static str, &PathBuf)> {
    let ca_file = review.service.ca_file.as_ref();
    [("fleet.token_review.token_file", Some(&review.token_file)), ("fleet.token_review.ca_file", ca_file)]
        .into_iter()
        .filter_map(|(name, path)| Some((name, path?)))
}

/// `NAME=ROLE`. There may be an equals sign in the name.
struct RoleOf {
    name: String,
    role: Role,
}

impl FromStr for RoleOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, role) = text.rsplit_once('=').ok_or_else(|| format!("`{text}` is not NAME=ROLE"))?;
        let role = role.parse().map_err(|error: ParseRoleError| format!("{name}: {error}"))?;
        Ok(Self { name: name.to_owned(), role })
    }
}

fn roles(reader: &mut Reader<'_>, name: &str) -> Option<BTreeMap<String, Role>> {
    let roles = reader.parsed_list::<RoleOf>(name)?;
    Some(roles.into_iter().map(|of| (of.name, of.role)).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, Settings, Surroundings};
    use super::*;

    fn read(text: &str) -> Result<Option<TokenReviewConfig>, Vec<String>> {
        let mut config = Config::empty(Surroundings { variables: Vec::new(), root: true });
        config.read_text(Path::new("/etc/provost.toml"), &format!("[fleet.token_review]\n{text}"));
        let told = |problems: Vec<super::super::Problem>| problems.iter().map(ToString::to_string).collect();
        Settings::from(&config).map(|settings| settings.fleet.token_review).map_err(told)
    }

    #[test]
    fn a_kubernetes_reviews_tokens() {
        let found = read(
            "url = \"https://k.example/reviews\"\ntoken_file = \"token\"\naudiences = [\"provost\"]\n\
             roles = [\"a=b=reader\"]\ngroup_roles = \"system:serviceaccounts:fleet=registrar\"\n",
        );
        let review = found.unwrap().unwrap();
        assert_eq!(review.token_file, Path::new("/etc/token"));
        assert_eq!(review.audiences, ["provost"]);
        assert_eq!(review.roles.users["a=b"], Role::Reader);
        assert_eq!(review.roles.groups["system:serviceaccounts:fleet"], Role::Registrar);
        assert_eq!(review.roles.others, None, "whoever is not named stays outside");
        assert_eq!(read("").unwrap(), None);
    }

    #[test]
    fn what_is_missing_or_wrong_is_told() {
        let check = |text: &str, expected: &[&str]| assert_eq!(read(text).unwrap_err(), expected, "{text}");
        check(
            "role = \"reader\"\n",
            &["fleet.token_review.url: is needed where `fleet.token_review.role` is given"],
        );
        check(
            "url = \"k.example\"\nroles = [\"a\", \"b=root\"]\n",
            &[
                "/etc/provost.toml:2: fleet.token_review.url: it is no URL with http:// or https:// and a host",
                "/etc/provost.toml:3: fleet.token_review.roles: `a` is not NAME=ROLE",
                "/etc/provost.toml:3: fleet.token_review.roles: b: `root` is no role; there are registrar, reader, \
                 publisher, operator and administrator",
                "fleet.token_review.token_file: is needed where `fleet.token_review.url` is given",
            ],
        );
    }
}
