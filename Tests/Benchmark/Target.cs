using System.Globalization;

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
        string shown = measured.Text(Format);
        string verdict = !double.TryParse(shown, CultureInfo.InvariantCulture, out double value) ? "not measured"
            : Reaches(value, Aim) ? "met, and the aim"
            : Reaches(value, Must) ? "met"
            : "**missed**";
        string sign = AtLeast ? "≥" : "≤";
        return [What, $"{sign} {Must.Text(Format)}", double.IsNaN(Aim) ? "" : $"{sign} {Aim.Text(Format)}", shown, verdict];
    }

    private bool Reaches(double measured, double bound) => AtLeast ? measured >= bound : measured <= bound;
}
