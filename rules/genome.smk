# The genome room: public files; variants onto the modelled assembly and to their genes; sequences out of it.
# IN VCF, FASTA, chain, genes   OUT VCFs, variant table, reject ledgers, sequences


rule genome_fetch:
    """Download, check and unpack a file of the catalogue that the configuration names and that is not there."""
    output:
        "resources/{product}",
    log:
        "<results>/logs/genome/fetch/{product}.log",
    benchmark:
        "<results>/benchmarks/genome/fetch/{product}.tsv"
    localrule: True
    conda:
        "../envs/genome.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(720),
    params:
        version=VERSIONS["genome"],
        name=lambda wildcards: RUN.resources[wildcards.product],
        settings=RUN.settings("genome.fetch"),
    message:
        "Fetching {wildcards.product}"
    shell:
        "cisweave genome fetch {params.name:q} --folder resources --settings {params.settings:q} > {log:q} 2>&1"


rule genome_genes:
    """Bring the genes of any file into one form: a BED with one transcription start site (TSS) per gene."""
    input:
        genes=lookup(dpath="genome/tss", within=config),
    output:
        tss="<results>/genome/tss.bed",
    log:
        "<results>/logs/genome/genes/all.log",
    benchmark:
        "<results>/benchmarks/genome/genes/all.tsv"
    conda:
        "../envs/genome.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["genome"],
        settings=RUN.settings("genome.genes"),
    message:
        "Reading the genes"
    shell:
        "cisweave genome genes --genes {input.genes:q} --out {output.tss:q} --settings {params.settings:q} > {log:q} 2>&1"


rule genome_normalize:
    """Read the VCF as one record per alternative allele, check REF, left-align, and write down what is rejected."""
    input:
        vcf=lookup(dpath="genome/vcf", within=config) or [],
        fasta=RUN.vcf_fasta,
    output:
        vcf="<results>/genome/normalized.vcf.gz",
        index="<results>/genome/normalized.vcf.gz.csi",
        rejects="<results>/genome/rejects/normalize.tsv",
    log:
        "<results>/logs/genome/normalize/all.log",
    benchmark:
        "<results>/benchmarks/genome/normalize/all.tsv"
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
        "cisweave genome normalize --vcf {input.vcf:q} --fasta {input.fasta:q} --out {output.vcf:q}"
        " --rejects {output.rejects:q} --settings {params.settings:q} > {log:q} 2>&1"


rule genome_liftover:
    """Move the variants to the modelled assembly and check their alleles against it."""
    input:
        vcf=rules.genome_normalize.output.vcf,
        chain=lookup(dpath="genome/chain", within=config) or [],
        fasta=lookup(dpath="genome/fasta", within=config),
        source_fasta=lookup(dpath="genome/vcf_fasta", within=config) or [],
    output:
        vcf="<results>/genome/lifted.vcf.gz",
        index="<results>/genome/lifted.vcf.gz.csi",
        rejects="<results>/genome/rejects/liftover.tsv",
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
        settings=RUN.settings("genome.liftover"),
        source_fasta=each("--source-fasta", "source_fasta"),
    message:
        "Moving the variants to the modelled assembly"
    shell:
        "cisweave genome liftover --vcf {input.vcf:q} --chain {input.chain:q} --fasta {input.fasta:q}"
        " {params.source_fasta:q} --out {output.vcf:q} --rejects {output.rejects:q} --settings {params.settings:q}"
        " > {log:q} 2>&1"


rule genome_closest_tss:
    """Give each variant the gene whose transcription start site (TSS) is closest, within reach."""
    input:
        vcf=branch(
            lookup(dpath="genome/chain", within=config),
            then="<results>/genome/lifted.vcf.gz",
            otherwise="<results>/genome/normalized.vcf.gz",
        ),
        genes=rules.genome_genes.output.tss,
        pairs=lookup(dpath="genome/pairs", within=config) or [],
    output:
        assigned="<results>/genome/assigned.parquet",
        rejects="<results>/genome/rejects/closest_tss.tsv",
    log:
        "<results>/logs/genome/closest-tss/all.log",
    benchmark:
        "<results>/benchmarks/genome/closest-tss/all.tsv"
    conda:
        "../envs/genome.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["genome"],
        settings=RUN.settings("genome.closest"),
        pairs=each("--pairs", "pairs"),
    message:
        "Finding the closest TSS of each variant"
    shell:
        "cisweave genome closest-tss --vcf {input.vcf:q} --genes {input.genes:q} {params.pairs:q}"
        " --out {output.assigned:q} --rejects {output.rejects:q} --settings {params.settings:q} > {log:q} 2>&1"


rule genome_ledger:
    """Bring all rejected alleles together and prove that alleles read = alleles scored + alleles rejected."""
    input:
        vcf=lookup(dpath="genome/vcf", within=config) or [],
        variants="<results>/genome/normalized.vcf.gz",
        rejects=[
            "<results>/genome/rejects/normalize.tsv",
            *(["<results>/genome/rejects/liftover.tsv"] if RUN.config.genome.chain else []),
            "<results>/genome/rejects/closest_tss.tsv",
            "<results>/seal/{context_set}/rejects.tsv",
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
        rejects=each("--rejects", "rejects"),
    message:
        "Balancing the books of {wildcards.context_set}"
    shell:
        "cisweave genome ledger --variants {input.variants:q} {params.rejects:q} --scored {input.scored:q}"
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
        settings=RUN.settings("genome.extract"),
    message:
        "Extracting the sequences of all loci"
    shell:
        "cisweave genome extract --fasta {input.fasta:q} --loci {input.loci:q} --out {output.sequences:q}"
        " --settings {params.settings:q} > {log:q} 2>&1"


rule genome_figures:
    """Draw what became of the alleles, and write the tables behind the figures."""
    input:
        script=f"{SCRIPTS}/genome_figures.py",
        normalized="<results>/genome/normalized.vcf.gz",
        lifted="<results>/genome/lifted.vcf.gz" if RUN.config.genome.chain else [],
        assigned="<results>/genome/assigned.parquet",
        ledgers=expand("<results>/genome/{context_set}/ledger.tsv", context_set=RUN.scored_sets),
    output:
        summary="<results>/genome/figures/summary.tsv",
        tables=expand(
            "<results>/genome/figures/{name}.tsv",
            name=["flow", "rejects", "classes", "lengths", "distance", "contigs"],
        ),
        figures=expand(
            "<results>/genome/figures/{name}.{kind}",
            name=["flow", "rejects", "alleles", "distance", "contigs"],
            kind=["png", "svg"],
        ),
    log:
        "<results>/logs/genome/figures/all.log",
    benchmark:
        "<results>/benchmarks/genome/figures/all.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=megabytes(4000),
        runtime=minutes(60),
    params:
        version=VERSIONS["genome"],
        lifted=each("--lifted", "lifted"),
        ledgers=each("--ledger", "ledgers"),
        out=subpath(output.summary, parent=True),
    message:
        "Drawing what became of the alleles"
    shell:
        "python {input.script:q} --normalized {input.normalized:q} {params.lifted:q} --assigned {input.assigned:q}"
        " {params.ledgers:q} --out {params.out:q} > {log:q} 2>&1"


rule figures_genome:
    """All figures of the genome room; nothing where no variants are scored."""
    input:
        rules.genome_figures.output if RUN.scored_sets else [],
    message:
        "The figures of the genome room are in place"
