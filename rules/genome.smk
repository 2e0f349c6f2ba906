# The genome room: variants onto the modelled assembly and to their genes; sequences out of it.
# IN VCF, FASTA, chain, TSS BED   OUT variant tables, reject ledgers, sequences


rule genome_variants:
    """Read the VCF as one row per alternative allele, check REF, and write down what is rejected and why."""
    input:
        vcf=lookup(dpath="genome/vcf", within=config) or [],
        fasta=RUN.vcf_fasta,
    output:
        variants="<results>/genome/variants.parquet",
        rejected="<results>/genome/rejected/variants.tsv",
    log:
        "<results>/logs/genome/variants/all.log",
    benchmark:
        "<results>/benchmarks/genome/variants/all.tsv"
    conda:
        "../envs/genome.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["genome"],
        settings=RUN.settings("genome.variants"),
    message:
        "Reading the variants"
    shell:
        "cisweave genome variants --vcf {input.vcf:q} --fasta {input.fasta:q} --out {output.variants:q}"
        " --rejected {output.rejected:q} --settings {params.settings:q} > {log:q} 2>&1"


rule genome_liftover:
    """Move the variants to the modelled assembly and check their alleles against it."""
    input:
        variants=rules.genome_variants.output.variants,
        chain=lookup(dpath="genome/chain", within=config) or [],
        fasta=lookup(dpath="genome/fasta", within=config),
    output:
        lifted="<results>/genome/lifted.parquet",
        rejected="<results>/genome/rejected/liftover.tsv",
    log:
        "<results>/logs/genome/liftover/all.log",
    benchmark:
        "<results>/benchmarks/genome/liftover/all.tsv"
    conda:
        "../envs/genome.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(8000),
        runtime=minutes(60),
    params:
        version=VERSIONS["genome"],
    message:
        "Moving the variants to the modelled assembly"
    shell:
        "cisweave genome liftover --variants {input.variants:q} --chain {input.chain:q} --fasta {input.fasta:q}"
        " --out {output.lifted:q} --rejected {output.rejected:q} > {log:q} 2>&1"


rule genome_closest:
    """Give each variant the gene whose transcription start site (TSS) is closest, within reach."""
    input:
        variants=branch(
            lookup(dpath="genome/chain", within=config),
            then="<results>/genome/lifted.parquet",
            otherwise="<results>/genome/variants.parquet",
        ),
        tss=lookup(dpath="genome/tss", within=config),
    output:
        assigned="<results>/genome/assigned.parquet",
        rejected="<results>/genome/rejected/closest.tsv",
    log:
        "<results>/logs/genome/closest/all.log",
    benchmark:
        "<results>/benchmarks/genome/closest/all.tsv"
    conda:
        "../envs/genome.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["genome"],
        settings=RUN.settings("genome.closest"),
    message:
        "Finding the closest TSS of each variant"
    shell:
        "cisweave genome closest --variants {input.variants:q} --tss {input.tss:q} --out {output.assigned:q}"
        " --rejected {output.rejected:q} --settings {params.settings:q} > {log:q} 2>&1"


rule genome_ledger:
    """Bring all rejected alleles together and prove that alleles read = alleles scored + alleles rejected."""
    input:
        vcf=lookup(dpath="genome/vcf", within=config) or [],
        variants="<results>/genome/variants.parquet",
        rejected=[
            "<results>/genome/rejected/variants.tsv",
            *(["<results>/genome/rejected/liftover.tsv"] if RUN.config.genome.chain else []),
            "<results>/genome/rejected/closest.tsv",
            "<results>/seal/{context_set}/rejected.tsv",
        ],
        scored="<results>/seal/{context_set}/effects.parquet",
    output:
        ledger="<results>/genome/{context_set}/ledger.tsv",
        summary="<results>/genome/{context_set}/ledger.json",
    log:
        "<results>/logs/genome/ledger/{context_set}.log",
    benchmark:
        "<results>/benchmarks/genome/ledger/{context_set}.tsv"
    conda:
        "../envs/genome.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["genome"],
        rejected=each("--rejected", "rejected"),
    message:
        "Balancing the books of {wildcards.context_set}"
    shell:
        "cisweave genome ledger --variants {input.variants:q} {params.rejected:q} --scored {input.scored:q}"
        " --vcf {input.vcf:q} --out {output.ledger:q} --summary {output.summary:q} > {log:q} 2>&1"


rule genome_extract:
    """Cut the sequences of all loci out of the genome, alternative haplotypes included."""
    input:
        loci="<results>/seqlets/loci.tsv",
        fasta=lookup(dpath="genome/fasta", within=config),
    output:
        sequences="<results>/seqlets/loci.h5",
    log:
        "<results>/logs/genome/extract/all.log",
    benchmark:
        "<results>/benchmarks/genome/extract/all.tsv"
    conda:
        "../envs/genome.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["genome"],
    message:
        "Extracting the sequences of all loci"
    shell:
        "cisweave genome extract --fasta {input.fasta:q} --loci {input.loci:q} --out {output.sequences:q}"
        " > {log:q} 2>&1"
