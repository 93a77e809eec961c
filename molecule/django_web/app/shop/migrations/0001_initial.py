from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="Release",
            fields=[("id", models.BigAutoField(primary_key=True)), ("note", models.CharField(max_length=100))],
        ),
    )
