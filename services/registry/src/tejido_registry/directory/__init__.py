"""The register made visible: what each organization lets everybody see, the search, maps, tables, the feed and HSDS."""
