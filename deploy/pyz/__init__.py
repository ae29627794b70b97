"""The packages in dist/: an sdist, a wheel, and raftkv.pyz, one file with all that runs."""
