//! What core is handed at start: storages, engines, audit devices.
