"""`python -m asa_engine`: the command `asa-engine`."""

from asa_engine.command import app

if __name__ == "__main__":
    app(prog_name="asa-engine")
