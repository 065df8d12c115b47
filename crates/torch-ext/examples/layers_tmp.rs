use std::time::Instant;
use tch::{Device, Kind, Tensor};
use torch_ext::*;
fn main() {
    torch_ext::keep_memory();
    let reps: usize = std::env::var("REPS").map_or(9, |r| r.parse().unwrap());
    let only = std::env::var("ONLY").unwrap_or_default();
    let n: i64 = std::env::args().nth(1).map_or(1, |a| a.parse().unwrap());
    let kind = if std::env::args().nth(2).is_some() { Kind::BFloat16 } else { Kind::Float };
    let mut total = 0.0;
    for (name, side, c_in, c_out, dw, k, s, count) in [
        ("conv1", 299, 3, 32, 0, 3, 2, 1),
        ("conv2", 149, 32, 64, 0, 3, 1, 1),
        ("b1.1", 147, 64, 128, 3, 1, 1, 1),
        ("b1.2", 147, 128, 128, 3, 1, 1, 1),
        ("b1.s", 147, 64, 128, 0, 1, 2, 1),
        ("b2.1", 74, 128, 256, 3, 1, 1, 1),
        ("b2.2", 74, 256, 256, 3, 1, 1, 1),
        ("b2.s", 74, 128, 256, 0, 1, 2, 1),
        ("b3.1", 37, 256, 728, 3, 1, 1, 1),
        ("b3.2", 37, 728, 728, 3, 1, 1, 1),
        ("b3.s", 37, 256, 728, 0, 1, 2, 1),
        ("mid", 19, 728, 728, 3, 1, 1, 24),
        ("b12.2", 19, 728, 1024, 3, 1, 1, 1),
        ("b12.s", 19, 728, 1024, 0, 1, 2, 1),
        ("c3", 10, 1024, 1536, 3, 1, 1, 1),
        ("c4", 10, 1536, 2048, 3, 1, 1, 1),
    ] {
        if !name.starts_with(only.as_str()) {
            continue;
        }
        let o = (Kind::Float, Device::Cpu);
        let f: Vec<PackedConv> = (0..count)
            .map(|_| {
                PackedConv::new(
                    &PackedConvConfig {
                        depthwise: (dw > 0).then(|| DepthwiseHalf {
                            weight: Tensor::randn([c_in, 1, 3, 3], o),
                            bias: None,
                            relu: false,
                        }),
                        weight: Tensor::randn([c_out, c_in, k, k], o),
                        bias: Tensor::randn([c_out], o),
                        stride: [s, s],
                        padding: [if dw > 0 { 1 } else { 0 }; 2],
                        dilation: [1, 1],
                    },
                    Factors::suited_to(kind).unwrap(),
                )
                .unwrap()
            })
            .collect();
        let xs = channels_last(&Tensor::randn([n, c_in, side, side], o)).unwrap().to_kind(kind);
        let mut ts = vec![];
        let mut out = 0;
        for _ in 0..reps {
            let t = Instant::now();
            for g in &f {
                out = g.run(&xs, Around { opens_with_relu: true, ..Default::default() }).size()[2];
            }
            ts.push(t.elapsed().as_secs_f64());
        }
        ts.sort_by(f64::total_cmp);
        let gflop = 2e-9 * (n * out * out * c_in * c_out * k * k * count) as f64;
        total += ts[ts.len() / 2];
        println!(
            "{name:6} {:8.2} ms {:7.1} GFLOP/s",
            ts[ts.len() / 2] * 1e3,
            gflop / ts[ts.len() / 2]
        );
    }
    println!("total {:.1} ms, {:.1} an image", total * 1e3, total * 1e3 / n as f64);
}
