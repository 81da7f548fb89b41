//! URLs, by the URL Standard.

use url::Url;

use super::EntityError;

/// The canonical form of a text that has `://`: what the URL Standard serializes. Hosts of the schemes that it knows
/// (http, https, ftp, ws, wss) become lower-case A-labels and default ports vanish; other schemes keep their host.
///
/// # Errors
/// [`EntityError::BadUrl`].
pub(super) fn canonical(text: &str) -> Result<Box<str>, EntityError> {
    if text.contains(char::is_whitespace) {
        return Err(EntityError::BadUrl);
    }
    let url = Url::parse(text).map_err(|_| EntityError::BadUrl)?;
    if !url.has_authority() || url.host_str().is_none_or(str::is_empty) {
        return Err(EntityError::BadUrl);
    }
    // A form that does not stand for itself would be two entities. Cheap enough, since URLs are the rare case.
    let canonical = String::from(url);
    match Url::parse(&canonical) {
        Ok(again) if again.as_str() == canonical => Ok(canonical.into()),
        _ => Err(EntityError::BadUrl),
    }
}
