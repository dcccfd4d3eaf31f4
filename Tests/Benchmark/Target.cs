namespace C10kServer.Benchmark;

/// <summary>What a figure is to be.</summary>
/// <param name="What">The figure.</param>
/// <param name="Must">What it has to reach.</param>
/// <param name="Aim">What it should, or not a number.</param>
/// <param name="Format">How such a figure is written.</param>
/// <param name="AtLeast">More is better; otherwise less.</param>
internal sealed record Target(string What, double Must, double Aim, string Format = "0.00", bool AtLeast = false)
{
    internal static readonly string[] Columns = ["what", "must", "aim", "measured", ""];

    /// <summary>A row of a table of targets. A figure is judged as it is written.</summary>
    internal string[] Row(double measured)
    {
        double shown = double.IsFinite(measured) ? double.Parse(measured.Text(Format), System.Globalization.CultureInfo.InvariantCulture) : measured;
        string verdict = !double.IsFinite(measured) ? "not measured" : Reaches(shown, Aim) ? "met, and the aim" : Reaches(shown, Must) ? "met" : "**missed**";
        string sign = AtLeast ? "≥" : "≤";
        return [What, $"{sign} {Must.Text(Format)}", double.IsNaN(Aim) ? "" : $"{sign} {Aim.Text(Format)}", measured.Text(Format), verdict];
    }

    private bool Reaches(double measured, double bound) => AtLeast ? measured >= bound : measured <= bound;
}
