"""Where twins are kept: `base` says how, `memory` and `rocks` do it, `twins` keeps the hot ones decoded."""
