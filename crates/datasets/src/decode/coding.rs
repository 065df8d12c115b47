//! The format and the colours that a file says it has, for people.

use std::io::Cursor;

use image::{ExtendedColorType, ImageDecoder, ImageFormat, ImageReader};

/// `JPEG, RGB`: the format and the colours of an image file. Empty where its header cannot be read.
#[must_use]
pub(crate) fn coding(bytes: &[u8]) -> String {
    coding_of(bytes).unwrap_or_default()
}

fn coding_of(bytes: &[u8]) -> Option<String> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    let format = reader.format()?;
    let colours = match format {
        ImageFormat::Jpeg => jpeg_colours(bytes)?,
        _ => colours(reader.into_decoder().ok()?.original_color_type()),
    };
    Some(format!("{}, {colours}", name(format)))
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        _ => "another format",
    }
}

fn colours(kind: ExtendedColorType) -> &'static str {
    use ExtendedColorType as Kind;
    match kind {
        Kind::L1 | Kind::L2 | Kind::L4 | Kind::L8 => "grey",
        Kind::L16 => "grey of 16 bits",
        Kind::La1 | Kind::La2 | Kind::La4 | Kind::La8 | Kind::La16 => "grey with transparency",
        Kind::Rgba1 | Kind::Rgba2 | Kind::Rgba4 | Kind::Rgba8 | Kind::Bgra8 => {
            "RGB with transparency"
        }
        Kind::Rgb16 => "RGB of 16 bits",
        Kind::Rgba16 => "RGB of 16 bits with transparency",
        Kind::Rgb32F | Kind::Rgba32F => "RGB of 32 bits",
        Kind::Cmyk8 | Kind::Cmyk16 => "CMYK",
        _ => "RGB",
    }
}

/// The colours of a JPEG, by the number of components of its frame: the decoder tells only those that come out.
fn jpeg_colours(bytes: &[u8]) -> Option<&'static str> {
    let mut at = 2;
    loop {
        let [0xff, code, high, low] = *bytes.get(at..at + 4)? else { return None };
        match code {
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&code) => {
                return Some(match bytes.get(at + 9)? {
                    1 => "grey",
                    4 => "CMYK",
                    _ => "RGB",
                });
            }
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
}

#[cfg(test)]
mod tests {
    use image::DynamicImage;

    use super::*;

    #[test]
    fn formats_and_colours_are_told_apart() {
        let check = |image: &DynamicImage, format, expected: &str| {
            let mut bytes = Cursor::new(Vec::new());
            image.write_to(&mut bytes, format).unwrap();
            assert_eq!(coding(bytes.get_ref()), expected);
        };
        let rgb = DynamicImage::new_rgb8(9, 9);
        check(&rgb, ImageFormat::Jpeg, "JPEG, RGB");
        check(&rgb, ImageFormat::Bmp, "BMP, RGB");
        check(&rgb, ImageFormat::WebP, "WebP, RGB");
        check(&DynamicImage::new_luma8(9, 9), ImageFormat::Jpeg, "JPEG, grey");
        check(&DynamicImage::new_luma16(9, 9), ImageFormat::Png, "PNG, grey of 16 bits");
        check(&DynamicImage::new_rgba8(9, 9), ImageFormat::Png, "PNG, RGB with transparency");
        check(&DynamicImage::new_rgba8(9, 9), ImageFormat::Gif, "GIF, RGB with transparency");
        check(&DynamicImage::new_rgb16(9, 9), ImageFormat::Tiff, "TIFF, RGB of 16 bits");
        for bytes in [&b""[..], b"\xff\xd8\xff", b"\xff\xd8\xff\xff\xff\xff", b"text"] {
            assert_eq!(coding(bytes), "");
        }
    }
}
