//! Parameters of the path.

use std::str::FromStr;

use actix_web::HttpRequest;
use convoke_domain::Mistake;

use crate::input::Mistakes;

/// The id in the path under this name.
pub(crate) fn id<T: FromStr<Err = Mistake>>(request: &HttpRequest, name: &str, mistakes: &mut Mistakes) -> Option<T> {
    let text = request.match_info().get(name).unwrap_or_default();
    mistakes.at_parameter(name, text.parse())
}
