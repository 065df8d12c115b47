//! The errors of the crate `xception`, as a variant of a module's own error: each of its functions returns the smallest
//! type that fits, and `?` has to lead from any of them to that variant.

/// Implements `From` for each error of `xception`: `from_model_errors!(Error, Error::Model)`.
macro_rules! from_model_errors {
    ($error:ty, $variant:path) => {
        $crate::model_errors::from_model_errors!(
            @each $error, $variant,
            xception::BuildError,
            xception::OutOfRange,
            xception::UnknownPreset,
            xception::Unsupported,
            xception::import::Error,
            xception::summary::Error,
            xception::weights::Error,
        );
    };
    (@each $error:ty, $variant:path, $($source:ty),* $(,)?) => {
        $(impl From<$source> for $error {
            fn from(error: $source) -> Self {
                $variant(error.into())
            }
        })*
    };
}

pub(crate) use from_model_errors;
