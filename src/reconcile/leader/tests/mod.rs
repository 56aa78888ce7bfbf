mod claims;
mod gates;
mod simulation;
