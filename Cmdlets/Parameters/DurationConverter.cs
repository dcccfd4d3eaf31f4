using System.Globalization;
using System.Management.Automation;
using System.Numerics;

namespace C10kServer.Parameters;

/// <summary>Makes a <see cref="Duration"/> from a user's value. PowerShell finds and calls the converter wherever the value is bound.</summary>
/// <remarks>
/// s, d, us, y and n are PowerShell's own number suffixes. PowerShell reads a bare 0.5s as [int16] 0, 1.5s as [int16] 2 and 1d as [decimal]
/// 1. For an argument it keeps the text beside the number, in the PSObject around the number, and the text is what the user meant. An element
/// of an array or a hashtable, a variable and an expression have no such text. The suffix is lost there, and nothing distinguishes one day
/// from one second.
/// </remarks>
public sealed class DurationConverter : PSTypeConverter
{
    private const string Wanted =
        "Give a number of seconds (5, 0.5), a number with a unit ('500ms', '30s', '2m', '1h', '1d'), 'hh:mm:ss' or a TimeSpan.";

    // PowerShell puts "Deserialized." before the type's name when an object comes from another process or a file.
    private const string CopyName = "Deserialized.C10kServer.Duration";

    private const NumberStyles Plain = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowTrailingWhite;

    /// <summary>
    /// Always true. For a value that cannot be read, <see cref="ConvertFrom(object, Type, IFormatProvider, bool)"/> throws an error.
    /// </summary>
    /// <param name="sourceValue">The value.</param>
    /// <param name="destinationType">Not used.</param>
    /// <returns>True, so that the error comes from this converter.</returns>
    public override bool CanConvertFrom(object sourceValue, Type destinationType) => true;

    /// <inheritdoc cref="CanConvertFrom(object, Type)"/>
    public override bool CanConvertFrom(PSObject sourceValue, Type destinationType) => true;

    /// <summary>Reads a value for which there is no text.</summary>
    /// <param name="sourceValue">The value.</param>
    /// <param name="destinationType">Not used.</param>
    /// <param name="formatProvider">Not used: a duration is read the same way in every culture.</param>
    /// <param name="ignoreCase">Not used.</param>
    /// <returns>A Duration.</returns>
    /// <exception cref="PSInvalidCastException">The value is not a duration; the message says what a duration is.</exception>
    public override object ConvertFrom(object sourceValue, Type destinationType, IFormatProvider formatProvider, bool ignoreCase) =>
        Read(Argument.Unwrap(sourceValue), sourceValue as PSObject);

    /// <summary>Reads a value in the shell's wrapping. If the value is a bare number, the wrapping has the argument's own text.</summary>
    /// <inheritdoc cref="ConvertFrom(object, Type, IFormatProvider, bool)"/>
    public override object ConvertFrom(PSObject sourceValue, Type destinationType, IFormatProvider formatProvider, bool ignoreCase) =>
        Read(Argument.Unwrap(sourceValue), sourceValue);

    /// <summary>Always false. The cast to TimeSpan does not need a converter.</summary>
    /// <param name="sourceValue">The duration.</param>
    /// <param name="destinationType">The type.</param>
    /// <returns>False.</returns>
    public override bool CanConvertTo(object sourceValue, Type destinationType) => false;

    /// <summary>Not supported, and never called.</summary>
    /// <param name="sourceValue">The duration.</param>
    /// <param name="destinationType">The type.</param>
    /// <param name="formatProvider">Not used.</param>
    /// <param name="ignoreCase">Not used.</param>
    /// <returns>Nothing.</returns>
    /// <exception cref="NotSupportedException">Always.</exception>
    public override object ConvertTo(object sourceValue, Type destinationType, IFormatProvider formatProvider, bool ignoreCase) =>
        throw new NotSupportedException();

    private static Duration Read(object? value, PSObject? wrapping)
    {
        TimeSpan? read = value switch
        {
            Duration duration => duration.TimeSpan,
            TimeSpan span => span,
            string text => Parse(text),
            int or uint or long or ulong or float or double => Scale(Convert.ToDouble(value, CultureInfo.InvariantCulture), 1),
            sbyte or byte or short or ushort or decimal or BigInteger => ReadSuffixed(value, wrapping),
            _ => ReadCopy(wrapping),
        };
        string shown = Show(value, wrapping);
        if (read is null)
        {
            throw new PSInvalidCastException($"'{shown}' is not a duration. {Wanted}");
        }

        return read >= TimeSpan.Zero
            ? new Duration(read.Value)
            : throw new PSInvalidCastException($"'{shown}' is negative, and a duration is not. {Wanted}");
    }

    /// <summary>
    /// Reads a number of a type that PowerShell uses for numbers with a suffix. The text says which suffix it was. Without the text the unit
    /// is unknown.
    /// </summary>
    private static TimeSpan? ReadSuffixed(object value, PSObject? wrapping)
    {
        string text = Show(value, wrapping);
        if (text.Length > 0 && char.IsAsciiLetter(text[^1]))
        {
            return Parse(text);
        }

        throw new PSInvalidCastException(
            $"The number {text} is a [{value.GetType().Name}], as PowerShell makes one of 1d, 0.5s or 2us, and the unit is lost. Write the duration " +
            $"in quotes: '1d', '0.5s'. For seconds cast the number to [int] or [double].");
    }

    /// <summary>Reads a duration from another process, for instance an argument of a remote command.</summary>
    private static TimeSpan? ReadCopy(PSObject? wrapping) =>
        wrapping is not null && wrapping.TypeNames.Contains(CopyName)
            ? wrapping.Properties[nameof(Duration.TimeSpan)]?.Value as TimeSpan?
            : null;

    private static string Show(object? value, PSObject? wrapping) =>
        wrapping?.ToString() ?? Convert.ToString(value, CultureInfo.InvariantCulture) ?? "";

    private static TimeSpan? Parse(string text)
    {
        text = text.Trim();

        // A text with one colon could mean minutes or hours, so it is not guessed.
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
            "US" => 0.000001,
            "MS" => 0.001,
            "" or "S" => 1,
            "M" => 60,
            "H" => 3600,
            "D" => 86400,
            _ => null,
        };
        return unit is not null && double.TryParse(text.AsSpan(0, unitAt), Plain, CultureInfo.InvariantCulture, out double number)
            ? Scale(number, unit.Value)
            : null;
    }

    private static TimeSpan? Scale(double number, double unit)
    {
        // The result is rounded to ticks, because 0.001 has no exact binary form. NaN fails the comparison, too.
        double ticks = Math.Round(number * unit * TimeSpan.TicksPerSecond);
        return Math.Abs(ticks) < TimeSpan.MaxValue.Ticks ? TimeSpan.FromTicks((long)ticks) : null;
    }
}
