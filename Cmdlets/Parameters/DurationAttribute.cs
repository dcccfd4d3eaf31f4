using System.Globalization;
using System.Management.Automation;

namespace C10kServer.Parameters;

/// <summary>
/// Reads a duration as people write it: a number is seconds; '500ms', '30s', '2m', '1h' and '1d' have a unit; 'hh:mm:ss' and
/// TimeSpan objects are taken as they are.
/// </summary>
/// <remarks>A plain TimeSpan parameter would read 5 as 500 nanoseconds and '5' as five days.</remarks>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Field)]
public sealed class DurationAttribute : ArgumentTransformationAttribute
{
    private const string Wanted =
        "Give a number of seconds, a number with a unit ('500ms', '30s', '2m', '1h', '1d'), 'hh:mm:ss' or a TimeSpan.";

    /// <summary>Turns what was given into a TimeSpan.</summary>
    /// <param name="engineIntrinsics">Not used.</param>
    /// <param name="inputData">What was given.</param>
    /// <returns>A TimeSpan.</returns>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData)
    {
        TimeSpan? value = Literal(inputData) switch
        {
            TimeSpan span => span,
            string text => Parse(text),
            sbyte or byte or short or ushort or int or uint or long or ulong or float or double or decimal =>
                Seconds(Convert.ToDouble(Argument.Unwrap(inputData), CultureInfo.InvariantCulture), 1),
            _ => null,
        };
        if (value is null)
        {
            throw new ArgumentTransformationMetadataException($"'{inputData}' is no duration. {Wanted}");
        }

        if (value < TimeSpan.Zero)
        {
            throw new ArgumentTransformationMetadataException($"'{inputData}' is negative. {Wanted}");
        }

        return value;
    }

    /// <summary>
    /// The shell reads an unquoted 1d as the decimal number 1, and keeps the text beside it. That text counts: one day was
    /// meant, not one second.
    /// </summary>
    private static object? Literal(object? input)
    {
        object? value = Argument.Unwrap(input);
        return value is decimal && input is PSObject && input.ToString() is string text && text.EndsWith('d') ? text : value;
    }

    private static TimeSpan? Parse(string text)
    {
        text = text.Trim();

        // One colon could be minutes or hours: that is not guessed.
        if (text.Count(c => c == ':') == 2)
        {
            return TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out TimeSpan span) ? span : null;
        }

        int unitAt = text.Length;
        while (unitAt > 0 && char.IsAsciiLetter(text[unitAt - 1]))
        {
            unitAt--;
        }

        double? unit = text[unitAt..].ToUpperInvariant() switch
        {
            "" or "S" => 1,
            "MS" => 0.001,
            "M" => 60,
            "H" => 3600,
            "D" => 86400,
            _ => null,
        };
        const NumberStyles Plain = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowTrailingWhite;
        return unit is not null && double.TryParse(text.AsSpan(0, unitAt), Plain, CultureInfo.InvariantCulture, out double number)
            ? Seconds(number, unit.Value)
            : null;
    }

    private static TimeSpan? Seconds(double number, double unit)
    {
        // In ticks, and rounded, since 0.001 has no exact binary form. Not-a-number fails the comparison too.
        double ticks = Math.Round(number * unit * TimeSpan.TicksPerSecond);
        return Math.Abs(ticks) < TimeSpan.MaxValue.Ticks ? TimeSpan.FromTicks((long)ticks) : null;
    }
}
