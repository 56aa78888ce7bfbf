mod claims;
mod simulation;
