//! Rotation of an image's hues. Pillow's conversions to HSV and back, to the byte: some of their numbers have 32 bits,
//! others 64.

use super::canvas::Canvas;

impl Canvas {
    /// Rotates every hue by `turn` of the circle, -0.5 to 0.5. torchvision: `adjust_hue`.
    pub(super) fn hue(&mut self, turn: f64) {
        let turn = (turn * 255.) as i32 as u8;
        for pixel in &mut self.pixels {
            let [hue, saturation, value] = hsv(*pixel);
            *pixel = rgb([hue.wrapping_add(turn), saturation, value]);
        }
    }
}

fn hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let value = red.max(green).max(blue);
    let range = value - red.min(green).min(blue);
    if range == 0 {
        return [0, 0, value];
    }
    let saturation = f32::from(range) / f32::from(value);
    let [from_red, from_green, from_blue] =
        [red, green, blue].map(|byte| f32::from(value - byte) / f32::from(range));
    let sixths = if red == value {
        from_blue - from_green
    } else if green == value {
        (2. + f64::from(from_red) - f64::from(from_blue)) as f32
    } else {
        (4. + f64::from(from_green) - f64::from(from_red)) as f32
    };
    // At least -1 sixth, which lies on the circle.
    let turns = f64::from(sixths) / 6. + 1.;
    let hue = if turns < 1. { turns } else { turns - 1. };
    let byte = |share: f32| (f64::from(share) * 255.) as u8;
    [byte(hue as f32), byte(saturation), value]
}

fn rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sixths = f64::from(hue) * 6. / 255.;
    let sixth = sixths as u8;
    let rest = f64::from((sixths - f64::from(sixth)) as f32);
    let saturation = f64::from((f64::from(saturation) / 255.) as f32);
    let down = |share: f64| rounded(f64::from(value) * (1. - share));
    let low = down(saturation);
    let falling = down(saturation * rest);
    let rising = down(saturation * (1. - rest));
    match sixth % 6 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    }
}

/// `x` of 0 to 255 rounded, halves up. `f64::round` is a function call on targets without SSE 4.1, such as the default
/// one, and every pixel needs three.
fn rounded(x: f64) -> u8 {
    let whole = x as u8;
    whole + u8::from(x - f64::from(whole) >= 0.5)
}
