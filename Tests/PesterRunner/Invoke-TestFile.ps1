<#
.SYNOPSIS
    Runs test files for "dotnet test", or lists their tests.
.DESCRIPTION
    Writes a line of JSON for each test: File, Index in the file, Line, Name, Outcome and Message. What fails beside tests is theirs: an error of
    BeforeAll or AfterAll is one of each test of that block, and a file that cannot be read into tests is a test of line 0.
    Exits with 1 if anything failed, with 0 otherwise.
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory)] [version] $PesterVersion,
    [Parameter(Mandatory)] [string] $ResultPath,
    [string[]] $Tag,
    [string[]] $ExcludeTag,
    [switch] $Discover,
    [Parameter(Mandatory, Position = 0, ValueFromRemainingArguments)] [string[]] $Path
)

Import-Module Pester -RequiredVersion $PesterVersion
$private:settings = @{ ResultPath = $ResultPath; Discover = [bool]$Discover }
$private:configuration = [PesterConfiguration]@{
    Run = @{ Path = $Path; PassThru = $true; SkipRun = $settings.Discover }
    Output = @{ Verbosity = if ($Discover) { 'None' } else { 'Detailed' }; RenderMode = 'Plaintext' }
}
if ($Tag) { $configuration.Filter.Tag = $Tag }
if ($ExcludeTag) { $configuration.Filter.ExcludeTag = $ExcludeTag }

# The tests run in scopes below this one, where a parameter cannot be hidden; so it is at least empty.
$PesterVersion = $ResultPath = $Tag = $ExcludeTag = $Path = $null
$Discover = $false

# A name with the values of -ForEach in it. Pester fills them in when a test runs, and here they are wanted before.
$private:expand = {
    param([string] $Name, $Data)

    if ($null -eq $Data) { return $Name }
    [regex]::Replace($Name, '<(\w+)((?:\.\w+)*)>', {
            param($match)

            $value = $Data
            if ($match.Groups[1].Value -ne '_') {
                if ($Data -isnot [System.Collections.IDictionary] -or -not $Data.Contains($match.Groups[1].Value)) { return $match.Value }
                $value = $Data[$match.Groups[1].Value]
            }

            foreach ($member in $match.Groups[2].Value.Split('.', [System.StringSplitOptions]::RemoveEmptyEntries)) { $value = $value.$member }
            "$value"
        })
}

$private:run = Invoke-Pester -Configuration $configuration
$private:counts = @{}
$private:results = @(
    foreach ($private:container in $run.FailedContainers.Where({ $_.ErrorRecord })) {
        [pscustomobject]@{
            File = "$($container.Item)"; Index = 0; Line = 0; Name = "Discovery of $([System.IO.Path]::GetFileName("$($container.Item)"))"
            Outcome = 'DiscoveryFailed'; Message = $container.ErrorRecord -join "`n"
        }
    }

    foreach ($private:test in $run.Tests) {
        $private:file = $test.ScriptBlock.File
        $private:index = [int]$counts[$file]
        $counts[$file] = $index + 1
        if (-not $test.ShouldRun) { continue }

        $private:name = & $expand $test.Name $test.Data
        $private:failures = @($test.ErrorRecord)
        for ($private:block = $test.Block; $block; $block = $block.Parent) {
            $failures += $block.ErrorRecord
            if (-not $block.IsRoot) { $name = & $expand "$($block.Name) $name" $block.Data }
        }

        [pscustomobject]@{
            File = $file; Index = $index; Line = [int]$test.StartLine; Name = $name
            Outcome = if ($settings.Discover) { 'Discovered' } elseif ($failures -and $test.Result -eq 'Passed') { 'Failed' } else { "$($test.Result)" }
            Message = @(foreach ($private:failure in $failures.Where({ $_ })) { $failure.DisplayErrorMessage; $failure.DisplayStackTrace }) -join "`n"
        }
    }
)

$results | ForEach-Object { $_ | ConvertTo-Json -Compress } | Set-Content -LiteralPath $settings.ResultPath
exit [int]($results.Where({ $_.Outcome -notin 'Discovered', 'Passed', 'Skipped' }).Count -gt 0)
