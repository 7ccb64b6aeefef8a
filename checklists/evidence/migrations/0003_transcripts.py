import json
import zlib
from itertools import groupby

import django.db.models.deletion
from django.db import migrations, models


def pack(apps, schema_editor):
    """One transcript a visit from the answers kept one by one, in the order of their numbers."""
    Exchange = apps.get_model("evidence", "Exchange")
    Transcript = apps.get_model("evidence", "Transcript")
    rows = Exchange.objects.order_by("run_id", "endpoint_name", "number").iterator(chunk_size=500)
    transcripts = []
    for (run, name), visit in groupby(rows, lambda row: (row.run_id, row.endpoint_name)):
        kept = {row.number: row for row in visit}
        first = next(iter(kept.values()))
        missing = ["", 0, "", "", False]
        exchanges = [
            [row.line, row.status, row.content_type, zlib.decompress(bytes(row.packed)).decode(), row.truncated]
            if (row := kept.get(number))
            else missing
            for number in range(max(kept) + 1)
        ]
        packed = zlib.compress(json.dumps(exchanges).encode(), 1)
        transcripts.append(Transcript(run_id=run, endpoint_name=name, packed=packed, created_at=first.created_at))
        if len(transcripts) == 200:
            Transcript.objects.bulk_create(transcripts)
            transcripts = []
    Transcript.objects.bulk_create(transcripts)


class Migration(migrations.Migration):

    dependencies = [
        ('evidence', '0002_evidence_engine'),
    ]

    operations = [
        migrations.CreateModel(
            name='Transcript',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('endpoint_name', models.CharField(blank=True, max_length=80)),
                ('packed', models.BinaryField()),
                ('created_at', models.DateTimeField(db_index=True)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='transcripts', to='evidence.proberun')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('run', 'endpoint_name'), name='evidence_one_transcript_a_visit')],
            },
        ),
        migrations.RunPython(pack, migrations.RunPython.noop),
        migrations.DeleteModel(name='Exchange'),
    ]
