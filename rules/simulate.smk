# The built-in world: with simulate.enabled its files stand in for all other input.
# IN nothing   OUT genomes, chains, genes, tracks, expression, variants, and their truth


if RUN.world:

    rule simulate:
        """Build the built-in world: real formats, known truth, the same bytes for the same seed."""
        output:
            files=RUN.world[:-1],
            manifest=RUN.world[-1],
        log:
            "<results>/logs/simulate/all.log",
        benchmark:
            "<results>/benchmarks/simulate/all.tsv"
        conda:
            "../envs/genome.yaml"
        threads: 1
        resources:
            mem_mb=megabytes(4000),
            runtime=minutes(60),
        params:
            version=VERSIONS["simulate"],
            folder=subpath(output.manifest, parent=True),
            size=lookup(dpath="simulate/size", within=config),
            seed=lookup(dpath="simulate/seed", within=config),
        message:
            "Building the built-in world"
        shell:
            "cisweave simulate --out {params.folder:q} --size {params.size:q} --seed {params.seed} > {log:q} 2>&1"
