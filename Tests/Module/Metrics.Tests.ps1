# The figures of servers for collectors: the text format of Prometheus, by the rules of promtool, and the meter.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"

    # Reads the text exposition format 0.0.4, strictly: whatever it does not know is an error, and so is a metric in two places.
    function Read-Exposition([string] $Text) {
        $name = '[a-zA-Z_:][a-zA-Z0-9_:]*'
        $families = [ordered]@{}
        $series = [System.Collections.Generic.HashSet[string]]::new()
        $current = $null
        if ($Text -and -not $Text.EndsWith("`n")) { throw 'the last line has no end' }
        foreach ($line in $Text.TrimEnd("`n").Split("`n")) {
            if ($line -cmatch "^# HELP ($name) (.+)$") {
                if ($families.Contains($Matches[1])) { throw "a second HELP of $($Matches[1])" }
                $current = $families[$Matches[1]] = @{ Name = $Matches[1]; Help = $Matches[2]; Type = $null; Samples = [System.Collections.Generic.List[object]]::new() }
            } elseif ($line -cmatch "^# TYPE ($name) (counter|gauge|histogram|summary|untyped)$") {
                if ($Matches[1] -cne $current.Name -or $current.Type -or $current.Samples.Count) { throw "TYPE in a wrong place: $line" }
                $current.Type = $Matches[2]
            } elseif ($line -cmatch '^([^{ ]+)\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*",?)*)\} (\S+)$') {
                if ($Matches[1] -cne $current.Name) { throw "a sample away from its family: $line" }
                if (-not $series.Add("$($Matches[1]){$($Matches[2])}")) { throw "twice: $line" }
                $value = [double]::Parse($Matches[3], [System.Globalization.NumberStyles]::Float, [cultureinfo]::InvariantCulture)
                $labels = @{}
                foreach ($label in [regex]::Matches($Matches[2], '([a-zA-Z_]\w*)="((?:[^"\\]|\\["\\n])*)"')) {
                    $plain = [regex]::Replace($label.Groups[2].Value, '\\(.)', { param($m) if ($m.Groups[1].Value -ceq 'n') { "`n" } else { $m.Groups[1].Value } })
                    $labels.Add($label.Groups[1].Value, $plain)
                }
                $current.Samples.Add(@{ Labels = $labels; Value = $value })
            } else {
                throw "no line of the format: '$line'"
            }
        }

        $families
    }

    # What promtool check metrics objects to in counters and gauges.
    function Find-Lint($Families) {
        $units = 'amperes', 'bytes', 'celsius', 'grams', 'joules', 'kelvin', 'meters', 'metres', 'seconds', 'volts'
        $otherUnits = 'minutes', 'hours', 'days', 'weeks', 'kelvins', 'fahrenheit', 'rankine', 'inches', 'yards', 'miles', 'bits', 'calories', 'pounds', 'ounces'
        $prefixes = 'pico|nano|micro|milli|centi|deci|deca|hecto|kilo|kibi|mega|mibi|giga|gibi|tera|tebi|peta|pebi'
        $abbreviations = 's|ms|us|ns|sec|b|kb|mb|gb|tb|pb|m|h|d'
        foreach ($family in $Families.Values) {
            $name = $family.Name
            if (-not $family.Help.Trim()) { "$name has no help" }
            if (-not $family.Type) { "$name has no type" }
            if (-not $family.Samples.Count) { "$name has no samples" }
            if (($family.Type -ceq 'counter') -ne $name.EndsWith('_total')) { "$name, a $($family.Type): _total is for counters" }
            if ($name -cmatch '_(bucket|count|sum)$') { "$name has a suffix of histograms" }
            if ($name -cmatch '_(counter|gauge|summary|histogram|gauge_histogram)(_|$)') { "$name has its type in its name" }
            if ($name -cmatch ':') { "$name has a colon" }
            if ($name -cmatch '[a-z][A-Z]') { "$name is in camel case" }
            if ($name -cmatch "_($abbreviations)(_|$)") { "$name has an abbreviated unit" }
            foreach ($word in $name.Split('_')) {
                if ($word -in $otherUnits -or $word -cmatch "^($prefixes)($($units -join '|'))$") { "$name is in $word, which is no base unit" }
            }
            foreach ($label in $family.Samples.Labels.Keys) {
                if ($label -cmatch '[a-z][A-Z]') { "$name has a label in camel case: $label" }
                if ($label -in 'le', 'quantile') { "$name has a label of histograms: $label" }
            }
        }
    }

    function Get-Value($Families, $Name, $Labels) {
        $found = $Families[$Name].Samples.Where({
                $sample = $_
                @($Labels.Keys.Where({ $sample.Labels[$_] -cne "$($Labels[$_])" })).Count -eq 0
            })
        $found.Count | Should -Be 1 -Because "$Name of $($Labels.Values -join ' ')"
        $found[0].Value
    }
}

AfterAll {
    Get-C10kServer | Stop-C10kServer
}

Describe 'The lint of this file' {
    It 'objects to <Why>' -ForEach @(
        @{ Why = 'a gauge with the suffix of counters'; Text = "# HELP x_total Help.`n# TYPE x_total gauge`nx_total{a=`"b`"} 1`n" }
        @{ Why = 'a counter without it'; Text = "# HELP x Help.`n# TYPE x counter`nx{a=`"b`"} 1`n" }
        @{ Why = 'milliseconds'; Text = "# HELP x_milliseconds Help.`n# TYPE x_milliseconds gauge`nx_milliseconds{a=`"b`"} 1`n" }
        @{ Why = 'an abbreviated unit'; Text = "# HELP x_ms Help.`n# TYPE x_ms gauge`nx_ms{a=`"b`"} 1`n" }
        @{ Why = 'minutes'; Text = "# HELP x_minutes Help.`n# TYPE x_minutes gauge`nx_minutes{a=`"b`"} 1`n" }
        @{ Why = 'a type in a name'; Text = "# HELP x_gauge Help.`n# TYPE x_gauge gauge`nx_gauge{a=`"b`"} 1`n" }
        @{ Why = 'the suffix of a histogram'; Text = "# HELP x_count Help.`n# TYPE x_count gauge`nx_count{a=`"b`"} 1`n" }
        @{ Why = 'camel case'; Text = "# HELP xY Help.`n# TYPE xY gauge`nxY{a=`"b`"} 1`n" }
        @{ Why = 'a metric without samples'; Text = "# HELP x Help.`n# TYPE x gauge`n" }
    ) {
        Find-Lint (Read-Exposition $Text) | Should -Not -BeNullOrEmpty
    }

    It 'does not read <Why>' -ForEach @(
        @{ Why = 'a last line without an end'; Text = "# HELP x Help.`n# TYPE x gauge`nx{a=`"b`"} 1" }
        @{ Why = 'a series twice'; Text = "# HELP x Help.`n# TYPE x gauge`nx{a=`"b`"} 1`nx{a=`"b`"} 2`n" }
        @{ Why = 'a comma in a number'; Text = "# HELP x Help.`n# TYPE x gauge`nx{a=`"b`"} 1,5`n" }
        @{ Why = 'a quote in a label'; Text = "# HELP x Help.`n# TYPE x gauge`nx{a=`"b`"c`"} 1`n" }
        @{ Why = 'a sample away from its family'; Text = "# HELP x Help.`n# TYPE x gauge`n# HELP y Help.`n# TYPE y gauge`nx{a=`"b`"} 1`n" }
    ) {
        { Read-Exposition $Text } | Should -Throw
    }
}

Describe 'ConvertTo-C10kPrometheus' {
    BeforeAll {
        $one = Start-C10kServer -Name 'one "of\two"' -Workers 2
        $two = Start-C10kServer -Name two -Workers 1 -Protocol Discard
        $client = Open-TestClient -Argument 'hold', '--port', $one.Port, '--count', 5, '--timeout', 60
        $null = Read-TestClient -Client $client
        $null = Invoke-TestClient -Client $client -Line 'echo 1 100'
        Wait-Until { $one.BytesSent -eq 500 }
        $text = Get-C10kServer | ConvertTo-C10kPrometheus
    }

    AfterAll {
        $null = Close-TestClient -Client $client
        $one, $two | Stop-C10kServer
    }

    It 'writes one string, in the format, that promtool has nothing to say about' {
        @($text) | Should -HaveCount 1
        $text | Should -BeOfType ([string])
        $families = Read-Exposition $text
        @($families.Keys).Count | Should -BeGreaterThan 15
        Find-Lint $families | Should -BeNullOrEmpty
        @($families.Keys.Where({ -not $_.StartsWith('c10k_') })) | Should -BeNullOrEmpty
    }

    It 'passes promtool check metrics, which says nothing' {
        if (-not (Get-Command promtool -CommandType Application -ErrorAction Ignore)) {
            Set-ItResult -Skipped -Because 'there is no promtool here; Debian has it in the package prometheus'
            return
        }

        $start = [System.Diagnostics.ProcessStartInfo]::new('promtool')
        $start.RedirectStandardInput = $start.RedirectStandardOutput = $start.RedirectStandardError = $true
        foreach ($word in 'check', 'metrics') { $start.ArgumentList.Add($word) }
        foreach ($case in @(
                @{ Text = $text; Code = 0; Says = '^$' }
                # And what it would say.
                @{ Text = $text -replace 'c10k_sent_bytes_total', 'c10k_sent_kilobytes'; Code = 3; Says = 'c10k_sent_kilobytes' }
            )) {
            $process = [System.Diagnostics.Process]::Start($start)
            $process.StandardInput.Write($case.Text)
            $process.StandardInput.Close()
            $says = $process.StandardError.ReadToEndAsync()
            $output = $process.StandardOutput.ReadToEnd()
            $process.WaitForExit()
            "$output$($says.Result)".Trim() | Should -Match $case.Says
            $process.ExitCode | Should -Be $case.Code
        }
    }

    It 'has the values of each server, its name told from others by a label' {
        $families = Read-Exposition $text
        foreach ($server in $one, $two) {
            $label = @{ server = $server.Name }
            Get-Value $families c10k_connections -Labels $label | Should -Be $server.ConnectionCount
            Get-Value $families c10k_connections_peak -Labels $label | Should -Be $server.PeakConnectionCount
            Get-Value $families c10k_connections_accepted_total -Labels $label | Should -Be $server.Accepted
            Get-Value $families c10k_connections_closed_total -Labels $label | Should -Be $server.Closed
            Get-Value $families c10k_connections_rejected_total -Labels $label | Should -Be $server.Rejected
            Get-Value $families c10k_received_bytes_total -Labels $label | Should -Be $server.BytesReceived
            Get-Value $families c10k_sent_bytes_total -Labels $label | Should -Be $server.BytesSent
            Get-Value $families c10k_messages_received_total -Labels $label | Should -Be $server.MessagesReceived
            Get-Value $families c10k_handler_errors_total -Labels $label | Should -Be $server.HandlerErrors
            Get-Value $families c10k_handler_timeouts_total -Labels $label | Should -Be $server.HandlerTimeouts
            Get-Value $families c10k_event_errors_total -Labels $label | Should -Be $server.EventErrors
            Get-Value $families c10k_events_lost_total -Labels $label | Should -Be $server.EventsLost
            Get-Value $families c10k_accept_errors_total -Labels $label | Should -Be $server.AcceptErrors
            Get-Value $families c10k_workers -Labels $label | Should -Be $server.WorkerCount
            Get-Value $families c10k_server_running -Labels $label | Should -Be 1
            Get-Value $families c10k_server_info -Labels ($label + @{ protocol = $server.Protocol; address = "$($server.EndPoint)" }) | Should -Be 1
            $started = $server.StartTime.ToUnixTimeMilliseconds() / 1000
            [Math]::Abs((Get-Value $families c10k_server_start_time_seconds -Labels $label) - $started) | Should -BeLessThan 0.01
            foreach ($worker in $server.Workers) {
                $both = $label + @{ worker = $worker.Id }
                Get-Value $families c10k_worker_connections -Labels $both | Should -Be $worker.ConnectionCount
                Get-Value $families c10k_worker_stalls_total -Labels $both | Should -Be $worker.Stalls
                Get-Value $families c10k_worker_wakeups_total -Labels $both | Should -BeLessOrEqual $worker.Wakeups
                Get-Value $families c10k_worker_cpu_seconds_total -Labels $both | Should -BeLessOrEqual $worker.CpuTime.TotalSeconds
            }
        }

        $one.ConnectionCount | Should -Be 5
        $one.BytesReceived | Should -Be 500
    }

    It 'writes numbers that no culture changes' {
        $before = [cultureinfo]::CurrentCulture
        try {
            [cultureinfo]::CurrentCulture = [cultureinfo]::new('de-DE')
            $there = Get-C10kServer | ConvertTo-C10kPrometheus
        } finally {
            [cultureinfo]::CurrentCulture = $before
        }

        Find-Lint (Read-Exposition $there) | Should -BeNullOrEmpty
        $there | Should -Match 'start_time_seconds\{[^}]*\} \d+\.\d+'
    }

    It 'does not disturb what BusyPercent is measured from' {
        $busy = Start-C10kServer -Workers 1
        try {
            # Percentages are of the time between two looks at the workers: here of the load, and of the pause behind it.
            $null = $busy.Workers
            $null = $busy | Invoke-C10kLoad -Connection 10 -Duration 400ms
            $null = $busy | ConvertTo-C10kPrometheus
            [System.Threading.Thread]::Sleep(150)
            $busy.Workers[0].BusyPercent | Should -BeGreaterThan 3
        } finally {
            Stop-C10kServer $busy.Name
        }
    }

    It 'takes a server that was given twice once, and of one name the newer' {
        $families = Read-Exposition ($two, $two | ConvertTo-C10kPrometheus)
        $families.c10k_connections.Samples | Should -HaveCount 1
        $old = Start-C10kServer -Name again -Workers 1
        $old | Stop-C10kServer
        $new = Start-C10kServer -Name again -Workers 1
        $families = Read-Exposition ($new, $old | ConvertTo-C10kPrometheus)
        Get-Value $families c10k_server_running -Labels @{ server = 'again' } | Should -Be 1
        $new | Stop-C10kServer
    }

    It 'has the last figures of a stopped server, and none of its workers' {
        $server = Start-C10kServer -Name over -Workers 1
        $server | Stop-C10kServer
        $families = Read-Exposition (ConvertTo-C10kPrometheus $server)
        Find-Lint $families | Should -BeNullOrEmpty
        Get-Value $families c10k_server_running -Labels @{ server = 'over' } | Should -Be 0
        @($families.Keys.Where({ $_.StartsWith('c10k_worker_') })) | Should -BeNullOrEmpty
    }

    It 'escapes whatever a path has in it' {
        $folder = [System.IO.Directory]::CreateTempSubdirectory('c10k-prom-').FullName
        try {
            $server = Start-C10kServer -Name unix -UnixPath "$folder/a`n`"b`"" -Workers 1
            $families = Read-Exposition ($server | ConvertTo-C10kPrometheus)
            $families.c10k_server_info.Samples[0].Labels.address | Should -Be "unix:$folder/a`n`"b`""
            $server | Stop-C10kServer
        } finally {
            [System.IO.Directory]::Delete($folder, $true)
        }
    }

    It 'writes an empty text when there is no server' {
        $none = Get-C10kServer nobody* | ConvertTo-C10kPrometheus
        $none | Should -BeOfType ([string])
        $none | Should -Be ''
    }
}

Describe 'The meter' {
    It 'is there with the first server, has the module''s version, and each name a unit and a description' {
        $null = Start-C10kServer -Name metered -Workers 1
        $script:instruments = [System.Collections.Generic.List[object]]::new()
        $listener = [System.Diagnostics.Metrics.MeterListener]::new()
        $listener.InstrumentPublished = { param($instrument) if ($instrument.Meter.Name -eq 'C10kServer') { $script:instruments.Add($instrument) } }
        $listener.Start()
        $listener.Dispose()
        $script:instruments.Name | Should -Contain 'c10kserver.connections.active'
        @($script:instruments.Meter.Version)[0] | Should -Be "$((Get-Module C10kServer).Version)"
        $about = [System.IO.File]::ReadAllText("$root/en-US/about_C10kServer.help.txt")
        foreach ($instrument in $script:instruments) {
            $instrument.Unit | Should -Not -BeNullOrEmpty
            $instrument.Description | Should -Match '^[A-Z].+\.$'
            $about.Contains($instrument.Name) | Should -BeTrue -Because "$($instrument.Name) is in about_C10kServer"
        }
        Stop-C10kServer metered
    }

    It 'has each metric of Prometheus in about_C10kServer' {
        $about = [System.IO.File]::ReadAllText("$root/en-US/about_C10kServer.help.txt")
        $server = Start-C10kServer -Name listed -Workers 1
        foreach ($name in (Read-Exposition ($server | ConvertTo-C10kPrometheus)).Keys) {
            $about.Contains($name) | Should -BeTrue -Because "$name is in about_C10kServer"
        }
        $server | Stop-C10kServer
    }
}
