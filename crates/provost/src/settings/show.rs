//! What holds, setting by setting: for `provost config check`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use fleet::bootstrap::Profile;
use identity::Role;
use identity::sign_in::TokenReviewConfig;
use server::doors::ClientCertificates;

use super::{AccessLog, Audience, BucketKey, LogFormat, Password, Settings, StoreEngine, WhichDoors};

/// The name and value of every setting that has one, in the order of the table.
pub fn shown(settings: &Settings) -> Vec<(&'static str, Value)> {
    let Settings { ca, cache, limits, files, doors, .. } = settings;
    let review = settings.fleet.token_review.as_ref();
    let etcd = &settings.store.etcd;
    let hands = &settings.fleet.hands;
    let (ansible, jump) = (hands.ansible.as_ref(), hands.jump.as_ref());
    let flannel = hands.etcd.as_ref();
    let client = flannel.and_then(|etcd| etcd.client.as_ref());
    let (identity, user) = (etcd.identity.as_ref(), etcd.user.as_ref());
    let upstream = cache.upstream.as_ref();
    let bucket = cache.bucket.as_ref();
    let (key_id, secret, changing) = match bucket.and_then(|bucket| bucket.key.as_ref()) {
        Some(BucketKey::Fixed { id, secret, .. }) => (Some(id), Some(secret), None),
        Some(BucketKey::Changing(path)) => (None, None, Some(path.as_path())),
        None => (None, None, None),
    };
    let days = |span: base::Span| number(span.as_duration().as_secs_f64() / 86_400.0);
    let seconds = |duration: std::time::Duration| number(duration.as_secs_f64());
    vec![
        ("data", settings.data.as_deref().map_or(Value::Null, path)),
        ("netloc", json!(settings.netloc.to_string())),
        ("base_port", json!(settings.ports.http)),
        ("bind", texts(&settings.bind)),
        ("clock_is_right", json!(settings.clock_is_right)),
        ("store.engine", json!(store_engine(settings.store.engine))),
        ("store.etcd.endpoints", json!(etcd.endpoints)),
        ("store.etcd.ca_file", etcd.ca.as_deref().map_or(Value::Null, path)),
        ("store.etcd.certificate_file", identity.map_or(Value::Null, |(certificate, _)| path(certificate))),
        ("store.etcd.key_file", identity.map_or(Value::Null, |(_, key)| path(key))),
        ("store.etcd.user", json!(user.map(|(name, _)| name))),
        ("store.etcd.password_file", user.map_or(Value::Null, |(_, password)| password_file(password))),
        ("store.etcd.namespace", json!(etcd.namespace.as_str())),
        ("store.etcd.deadline_seconds", seconds(etcd.deadline)),
        ("store.etcd.wait_seconds", seconds(etcd.wait)),
        ("ca.api", json!(ca.api)),
        ("ca.threshold_days", days(ca.threshold)),
        ("ca.key_bits", json!(ca.key_bits)),
        ("ca.names", json!(if ca.names == ca::Names::Strict { "strict" } else { "any" })),
        ("ca.lock_auto_approve_count", json!(ca.lock_auto_approve_count)),
        ("ca.backup_directory", ca.backup_directory.as_deref().map_or(Value::Null, path)),
        ("ca.backup_period_days", days(ca.backup_period)),
        ("ca.token.module", ca.token.as_ref().map_or(Value::Null, |token| path(&token.module))),
        ("ca.token.label", json!(ca.token.as_ref().map(|token| &token.label))),
        ("ca.token.pin_file", ca.token.as_ref().map_or(Value::Null, |token| path(&token.pin_file))),
        ("ca.token.new_keys", json!(ca.token.as_ref().is_none_or(|token| token.new_keys))),
        ("ca.services.crt_validity_days", days(ca.services.crt_validity)),
        ("ca.services.max_csr", json!(ca.services.max_csr)),
        ("ca.services.auto_approve_count", json!(ca.services.auto_approve_count)),
        ("ca.users.crt_validity_days", days(ca.users.crt_validity)),
        ("ca.users.max_csr", json!(ca.users.max_csr)),
        ("ca.users.auto_approve_count", json!(ca.users.auto_approve_count)),
        ("cors.whitelist", json!(settings.cors_whitelist)),
        ("cors.key_store", path(&files.cors_keys)),
        ("server.doors", json!(which_doors(doors.which))),
        ("server.tls_file", doors.tls_file.as_deref().map_or(Value::Null, path)),
        ("server.client_certificates", json!(client_certificates(doors.client_certificates))),
        ("server.client_ca_file", doors.client_ca_file.as_deref().map_or(Value::Null, path)),
        ("server.key_file", path(&files.server_key)),
        ("fleet.api", json!(settings.fleet.api)),
        ("fleet.plain_http", json!(audience(settings.fleet.plain_http))),
        ("fleet.trusted_proxies", texts(&settings.fleet.trusted_proxies)),
        (
            "fleet.sign_in",
            settings.fleet.sign_in.as_ref().map_or(json!("certificates"), |file| path(&file.path)),
        ),
        ("fleet.investigate", json!(hands.investigate)),
        ("fleet.operations", json!(hands.operations)),
        ("fleet.watch", json!(hands.watch_period.is_some())),
        ("fleet.watch_seconds", hands.watch_period.map_or(Value::Null, |period| json!(period.as_seconds()))),
        ("fleet.profile", json!(if hands.profile == Profile::Containers { "containers" } else { "none" })),
        ("fleet.commands_file", hands.commands_file.as_deref().map_or(Value::Null, path)),
        ("fleet.templates_folder", hands.templates_folder.as_deref().map_or(Value::Null, path)),
        ("fleet.transport", json!(if ansible.is_some() { "ansible" } else { "ssh" })),
        ("fleet.ansible.program", ansible.map_or(Value::Null, |ansible| path(&ansible.program))),
        (
            "fleet.ansible.playbooks_folder",
            ansible.and_then(|ansible| ansible.playbooks_folder.as_deref()).map_or(Value::Null, path),
        ),
        ("fleet.ansible.said_mib_max", json!(ansible.map(|ansible| ansible.said_mib_max))),
        ("fleet.ssh.port", json!(hands.port)),
        ("fleet.ssh.jump", jump.map_or(Value::Null, |jump| json!(format!("{}@{}", jump.user, jump.address)))),
        ("fleet.ssh.jump_host_key", jump.map_or(Value::Null, |jump| json!(jump.host_key.to_string()))),
        ("fleet.ssh.jump_key_file", jump.and_then(|jump| jump.key_file.as_deref()).map_or(Value::Null, path)),
        ("fleet.ssh.hosts_max", json!(hands.hosts_max)),
        ("fleet.ssh.connect_seconds", seconds(hands.connect)),
        ("fleet.ssh.host_seconds", seconds(hands.host)),
        ("fleet.flannel.etcd.url", json!(flannel.map(|etcd| &etcd.url))),
        ("fleet.flannel.etcd.ca_file", flannel.and_then(|etcd| etcd.ca.as_deref()).map_or(Value::Null, path)),
        (
            "fleet.flannel.etcd.certificate_file",
            client.map_or(Value::Null, |(certificate, _)| path(certificate)),
        ),
        ("fleet.flannel.etcd.key_file", client.map_or(Value::Null, |(_, key)| path(key))),
        ("fleet.token_review.url", json!(review.map(|review| review.service.url.to_string()))),
        ("fleet.token_review.token_file", review.map_or(Value::Null, |review| path(&review.token_file))),
        (
            "fleet.token_review.ca_file",
            review.and_then(|review| review.service.ca_file.as_deref()).map_or(Value::Null, path),
        ),
        ("fleet.token_review.audiences", json!(review.map_or(&[][..], |review| &review.audiences))),
        ("fleet.token_review.roles", roles(review.map(|review| &review.roles.users))),
        ("fleet.token_review.group_roles", roles(review.map(|review| &review.roles.groups))),
        ("fleet.token_review.role", json!(others(review))),
        ("cache.api", json!(cache.api)),
        ("cache.folder", settings.files.artifacts.as_deref().map_or(Value::Null, path)),
        ("cache.readers", json!(who(cache.readers_sign_in))),
        ("cache.writers", json!(who(cache.writers_sign_in))),
        ("cache.plain_http", json!(audience(cache.plain_http))),
        ("cache.users_file", cache.users_file.as_deref().map_or(Value::Null, path)),
        ("cache.services", json!(if cache.services_publish { "publishers" } else { "none" })),
        ("cache.client_ca_file", cache.client_ca_file.as_deref().map_or(Value::Null, path)),
        ("cache.artifact_bytes_max", json!(cache.artifact_bytes_max)),
        ("cache.writer_bytes_max", json!(cache.writer_bytes_max)),
        ("cache.reserve_bytes", json!(cache.reserve_bytes)),
        ("cache.sending_bytes_max", json!(cache.sending_bytes_max)),
        ("cache.retention", json!(cache.rules.retention.rules().collect::<Vec<_>>())),
        ("cache.unnamed", json!(cache.rules.unnamed.to_string())),
        ("cache.grace_days", days(cache.rules.grace)),
        ("cache.hide_withdrawn", cache.hide_withdrawn.as_deref().map_or(Value::Null, path)),
        ("cache.scrub_bytes_per_second", json!(cache.scrub_bytes_per_second.unwrap_or_default())),
        ("cache.upstream_cache_url", json!(upstream.map(|upstream| upstream.cache_url.to_string()))),
        ("cache.upstream_dir_url", json!(upstream.map(|upstream| upstream.dir_url.to_string()))),
        (
            "cache.upstream_ca_file",
            upstream.and_then(|upstream| upstream.ca_file.as_deref()).map_or(Value::Null, path),
        ),
        (
            "cache.upstream_key_file",
            upstream.and_then(|upstream| upstream.key_file.as_deref()).map_or(Value::Null, path),
        ),
        ("cache.upstream_fresh_seconds", json!(cache.fresh.entries.as_seconds())),
        ("cache.upstream_bytes_max", json!(cache.upstream_bytes_max)),
        ("cache.upstream_absent_seconds", json!(cache.fresh.absent.as_seconds())),
        ("cache.s3.bucket", json!(bucket.map(|bucket| &bucket.name))),
        ("cache.s3.prefix", json!(bucket.map(|bucket| &bucket.prefix))),
        ("cache.s3.endpoint", json!(bucket.and_then(|bucket| bucket.endpoint.as_ref()))),
        ("cache.s3.region", json!(bucket.map(|bucket| &bucket.region))),
        ("cache.s3.path_style", json!(bucket.map(|bucket| bucket.path_style))),
        ("cache.s3.access_key_id", json!(key_id)),
        ("cache.s3.secret_key_file", secret.map_or(Value::Null, password_file)),
        ("cache.s3.credentials_file", changing.map_or(Value::Null, path)),
        ("cache.s3.ca_file", bucket.and_then(|bucket| bucket.ca.as_deref()).map_or(Value::Null, path)),
        ("cache.s3.wait_seconds", bucket.map_or(Value::Null, |bucket| seconds(bucket.wait))),
        ("limits.connections_max", json!(limits.connections_max)),
        ("limits.header_seconds", seconds(limits.header)),
        ("limits.body_seconds", seconds(limits.body)),
        ("limits.idle_seconds", seconds(limits.idle)),
        ("limits.bytes_per_second_min", json!(limits.bytes_per_second_min)),
        ("limits.bodies_bytes_max", json!(limits.bodies_bytes_max)),
        ("limits.drain_seconds", seconds(limits.drain)),
        ("log.level", json!(settings.log.level)),
        ("log.format", json!(log_format(settings.log.format))),
        ("log.access", access_log(&settings.access_log)),
        ("metrics.access", json!(audience(settings.metrics))),
        ("history.keep_days", days(settings.history.keep)),
        ("history.keep_count", json!(settings.history.keep_count)),
    ]
}

/// Without a fraction where there is none.
fn number(number: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "settings are bounded far below 2^53")]
    if number.fract() == 0.0 { json!(number as i64) } else { json!(number) }
}

fn texts<T: ToString>(items: &[T]) -> Value {
    json!(items.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// Bytes that are no text are replaced: this is for reading, not for opening.
fn path(path: &Path) -> Value {
    json!(path.display().to_string())
}

fn password_file(password: &Password) -> Value {
    match password {
        Password::File(file) => path(file),
        Password::Said(_) => Value::Null,
    }
}

fn roles(roles: Option<&BTreeMap<String, Role>>) -> Value {
    let shown = |(name, role): (&String, &Role)| json!(format!("{name}={role}"));
    Value::Array(roles.into_iter().flatten().map(shown).collect())
}

fn others(review: Option<&TokenReviewConfig>) -> String {
    review.and_then(|review| review.roles.others).map_or_else(|| "none".to_owned(), |role| role.to_string())
}

fn which_doors(which: WhichDoors) -> &'static str {
    match which {
        WhichDoors::Both => "both",
        WhichDoors::Http => "http",
        WhichDoors::Https => "https",
    }
}

fn client_certificates(certificates: ClientCertificates) -> &'static str {
    match certificates {
        ClientCertificates::Asked => "asked",
        ClientCertificates::Required => "required",
    }
}

fn store_engine(engine: StoreEngine) -> &'static str {
    match engine {
        StoreEngine::Embedded => "embedded",
        StoreEngine::Etcd => "etcd",
    }
}

fn log_format(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    }
}

fn access_log(access_log: &AccessLog) -> Value {
    match access_log {
        AccessLog::Stdout => json!("stdout"),
        AccessLog::Off => json!("off"),
        AccessLog::File(file) => path(file),
    }
}

fn audience(audience: Audience) -> &'static str {
    match audience {
        Audience::Loopback => "loopback",
        Audience::Everyone => "everyone",
    }
}

fn who(signs_in: bool) -> &'static str {
    if signs_in { "signed-in" } else { "everyone" }
}

#[cfg(test)]
mod tests {
    use super::super::key::KEYS;
    use super::super::{Config, Surroundings};
    use super::*;

    #[test]
    fn every_setting_is_shown() {
        let settings =
            Settings::from(&Config::empty(Surroundings { variables: Vec::new(), root: true })).unwrap();
        let names: Vec<_> = shown(&settings).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    }
}
