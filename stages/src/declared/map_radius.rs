//! How far the flat map of a subject reaches, for kinds that read labels on it.

use pipe_contract::parameters;

parameters! {
    /// The radius of the flat map.
    #[derive(Clone, Copy, Debug)]
    pub struct MapRadius {
        /// how far the map reaches from the occipital pole, in degrees: as in `flatmap/images`
        pub radius: f64 = 80.0, in 1.0..=90.0, neutral 80.0;
    }
}
